/** What one agent has on this host. */
import { exists } from "@wrenn/common";
import { SandboxStatus } from "@wrenn/proto/agent";
import { hostState } from "../../../tasks/lib/leaks.ts";
import { groupOf } from "../../../agent/vmm/cgroup.ts";
import type { TestAgent } from "./agent.ts";

/** The parts of an agent that say what is its own. */
export type Owner = Pick<TestAgent, "dataDir" | "runDir" | "slots" | "socket">;

/**
 * Lists processes, namespaces, links, nftables tables, cgroups, jails, disks, records, snapshots, run folders and the
 * socket of an agent.
 * The agent's own process is not in the list: its command line names no folder.
 */
export async function leftovers(owner: Owner): Promise<string[]> {
  const { first, last } = owner.slots;
  const group = groupOf(owner.runDir);
  const things = [...await hostState()].filter((thing) => {
    if (thing === `nft table: table inet wrenn-${first}` || thing.endsWith(group)) return true;
    const index = Number(/^(?:namespace: ns|link: veth)-(\d+)$/.exec(thing)?.[1]);
    return index >= first && index <= last;
  });
  return [
    ...things,
    ...(await processesNaming(owner.runDir)).map((pid) => `process: ${pid}`),
    ...await groupsOf(group),
    ...await jailsOf(owner),
    ...await namesIn(`${owner.dataDir}/sandboxes`),
    ...await namesIn(`${owner.dataDir}/records`),
    ...(await namesIn(`${owner.dataDir}/snapshots`)).filter((path) => path.includes("/snap-")),
    ...await namesIn(owner.runDir),
    ...(await exists(owner.socket) ? [`socket: ${owner.socket}`] : []),
  ].sort();
}

/** Cgroups of single machines. */
async function groupsOf(group: string): Promise<string[]> {
  const names = await namesIn(`/sys/fs/cgroup/${group}`);
  const isGroup = async (name: string): Promise<boolean> =>
    (await Deno.stat(name).catch(() => undefined))?.isDirectory ?? false; // gone meanwhile
  const groups = await Promise.all(names.map(isGroup));
  return names.filter((_, i) => groups[i]).map((name) => `cgroup: ${name}`);
}

/** Folders of Firecracker's processes. */
async function jailsOf({ dataDir, runDir }: Owner): Promise<string[]> {
  const programs = await namesIn(`${dataDir}/jails/${groupOf(runDir)}`);
  return (await Promise.all(programs.map(namesIn))).flat();
}

/** Ids of the sandboxes that have not ended, in order. */
export async function liveSandboxes({ client }: Pick<TestAgent, "client">): Promise<string[]> {
  const ended = [SandboxStatus.STOPPED, SandboxStatus.ERROR];
  const { sandboxes } = await client.listSandboxes({});
  return sandboxes.filter(({ status }) => !ended.includes(status)).map(({ id }) => id).sort();
}

/** Snapshots that are half made. */
export async function drafts({ dataDir }: Pick<TestAgent, "dataDir">): Promise<string[]> {
  return (await namesIn(`${dataDir}/snapshots`)).filter((name) => name.includes(".draft"));
}

/** Ids of live processes with a text in their command line. */
export async function processesNaming(text: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // A process may end while it is looked at; the command line of a zombie is empty.
    const command = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (command.includes(text)) found.push(Number(name));
  }
  return found;
}

/** Names in a folder with the folder before them; none when it is missing. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(folder), ({ name }) => `${folder}/${name}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
