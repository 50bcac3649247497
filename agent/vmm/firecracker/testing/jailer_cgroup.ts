/** The cgroup that the stand-in jailer puts its process into, as Firecracker's jailer does with cgroup v2. */
import { exists } from "@wrenn/common";
import { join } from "node:path";
import { JailerUsageError, type JailOptions } from "./jailer_options.ts";

/** Moves a process into the group. */
export type JoinCgroup = (pid: number) => Promise<void>;

/**
 * Looks whether the host has what is asked for. Without a value to set, the process goes into the parent group if that
 * is there, and stays where it is if not.
 *
 * @param program Name of the executable, which the parent group is called after.
 * @throws {JailerUsageError} When the host lacks the hierarchy or the controllers.
 */
export async function joinCgroup(options: JailOptions, program: string): Promise<JoinCgroup> {
  const { id, cgroups, cgroupVersion, parentCgroup = program } = options;
  if (cgroupVersion === 1) {
    if (cgroups.length === 0) return () => Promise.resolve();
    throw new JailerUsageError("The stand-in jailer knows no cgroup v1");
  }
  const root = mountPoint(await Deno.readTextFile("/proc/mounts"));
  if (root === undefined) {
    throw new JailerUsageError("Hierarchy not found: No hierarchy found for this cgroup version.");
  }
  const parent = join(root, parentCgroup);
  if (cgroups.length === 0) {
    return async (pid) => {
      if (await exists(parent)) await write(join(parent, "cgroup.procs"), String(pid));
    };
  }
  const controllers = [...new Set(cgroups.map(([file]) => file.split(".")[0] ?? ""))];
  const offered = (await Deno.readTextFile(join(root, "cgroup.controllers"))).trim().split(" ");
  for (const name of controllers) {
    // The group's own files need no controller.
    if (name === "cgroup" || offered.includes(name)) continue;
    throw new JailerUsageError(`Controller ${name} is unavailable`);
  }
  return async (pid) => {
    const group = join(parent, id);
    await Deno.mkdir(group, { recursive: true });
    for (const above of foldersAbove(root, parentCgroup)) {
      for (const name of controllers) {
        await write(join(above, "cgroup.subtree_control"), `+${name}`);
      }
    }
    for (const [file, value] of cgroups) await write(join(group, file), value);
    await write(join(group, "cgroup.procs"), String(pid));
  };
}

/** Where cgroup v2 is mounted. */
export function mountPoint(mounts: string): string | undefined {
  return mounts.split("\n").map((line) => line.split(" ")).find(([, , type]) => type === "cgroup2")
    ?.[1];
}

function foldersAbove(root: string, parent: string): string[] {
  const names = parent.split("/");
  return [root, ...names.map((_, n) => join(root, ...names.slice(0, n + 1)))];
}

async function write(path: string, value: string): Promise<void> {
  await Deno.writeTextFile(path, `${value}\n`, { create: false });
}
