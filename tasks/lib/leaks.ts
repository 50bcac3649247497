/** The leak check: what of ours is on this host, before and after. */
import { repoRoot, run } from "./shell.ts";

/** Everything found, one text per thing: `kind: what`. */
export type HostState = ReadonlySet<string>;

/** Folders where parts of the platform leave run-time files. */
const RUN_FOLDERS = ["/run", "/tmp", "/dev/shm", "/var/tmp"];
/** The host's first `ip netns add` makes it, whoever calls it, and nothing takes it away. */
const NETNS_FOLDER = "/run/netns";
/** A process of ours names one of these in its command line. */
const OUR_PROCESS =
  /qemu-system-|wrenn|\/postgres\b.*-D|envd\/main\.ts|agent\/main\.ts|api\/main\.ts/;

/** Lists processes, namespaces, links, nftables tables, mounts, loop devices and run-time files of ours. */
export async function hostState(): Promise<HostState> {
  const found = new Set<string>();
  const add = (kind: string, lines: Iterable<string>): void => {
    for (const line of lines) if (line.trim() !== "") found.add(`${kind}: ${line.trim()}`);
  };
  add("process", await processes());
  add("namespace", (await lines(["ip", "netns", "list"])).map((l) => l.split(" ")[0] ?? ""));
  add(
    "link",
    (await lines(["ip", "-o", "link"])).flatMap((l) => /^\d+: ([^:@]+)/.exec(l)?.[1] ?? []),
  );
  add("nft table", await lines(["nft", "list", "tables"]));
  add("loop", await lines(["losetup", "-a"]));
  const mounts = (await Deno.readTextFile("/proc/self/mounts")).split("\n");
  const points = mounts.map((l) => l.split(" ")[1] ?? "");
  add("mount", points.filter((m) => !m.startsWith("/proc") && m !== NETNS_FOLDER));
  add("device", await entries("/dev/mapper", /^wrenn-/));
  add("cgroup", await entries("/sys/fs/cgroup", /wrenn/));
  for (const folder of RUN_FOLDERS) add("file", await entries(folder, /wrenn/));
  return found;
}

/** What is there now and was not before. */
export function leaked(before: HostState, after: HostState): string[] {
  return [...after].filter((thing) => !before.has(thing)).sort();
}

async function lines(argv: string[]): Promise<string[]> {
  const result = await run(argv, { allowFailure: true }).catch(() => undefined);
  return result?.code === 0 ? result.stdout.split("\n") : [];
}

async function entries(folder: string, pattern: RegExp): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (pattern.test(entry.name)) names.push(`${folder}/${entry.name}`);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names;
}

/** Live processes of ours, but for this process, its ancestors and editors' language servers. */
async function processes(): Promise<string[]> {
  const mine = await ancestors();
  const found: string[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name) || mine.has(Number(name))) continue;
    const raw = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    const cmdline = raw.replaceAll("\0", " ").trim();
    if (/^\S*deno (lsp|lint|fmt|check)/.test(cmdline)) continue;
    if (OUR_PROCESS.test(cmdline) || cmdline.includes(`${repoRoot()}/`)) {
      found.push(`${name} ${cmdline.slice(0, 160)}`);
    }
  }
  return found;
}

async function ancestors(): Promise<Set<number>> {
  const pids = new Set<number>([Deno.pid]);
  let pid = Deno.ppid;
  while (pid > 0 && !pids.has(pid)) {
    pids.add(pid);
    const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
    pid = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return pids;
}
