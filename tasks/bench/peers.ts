/** Other sandboxes found on this machine, running the same commands in the same run. */
import { join } from "node:path";
import { has } from "../lib/shell.ts";
import { writeBundle } from "./oci_bundle.ts";
import { PYTHON_OUTPUT } from "./phases/sampling.ts";
import type { Recorder } from "./recorder.ts";
import { PEER_ROWS } from "./rows.ts";
import { findRunsc, runscCommand } from "./runsc.ts";
import type { Argv } from "./sandbox_api.ts";

/** What the peers need to know. */
export interface PeerOptions {
  readonly record: Recorder;
  readonly runs: number;
  /** Rows that are wanted. */
  readonly wanted: (row: string) => boolean;
  /** Build those that can be built. */
  readonly build: boolean;
  readonly cacheDir: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Runs of each peer. */
export const PEER_RUNS = 20;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** The distribution's Python, whatever else the PATH finds. */
const HOST_PYTHON: Argv = ["/usr/bin/python3", "-c", "print(1+1)"];
const HOST_TRUE: Argv = ["/usr/bin/true"];
/** crun refuses hosts with both kinds of cgroups: it gets a mount namespace where the newer one is away. */
const LEGACY_CGROUPS: Argv = [
  "unshare",
  ...["--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$@"', "sh"],
];

/** One row of a peer: a command line that is new every time, or why there is none. */
interface Peer {
  readonly row: string;
  readonly command: ((index: number) => Argv) | { readonly missing: string };
  readonly expected: string;
}

/** Measures every peer that is there. One that is not, or that fails, leaves a note. */
export async function runPeers(options: PeerOptions): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-bench-" });
  try {
    for (const peer of await peers(folder, options)) {
      if (options.wanted(peer.row)) await measure(peer, options);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function measure(
  { row, command, expected }: Peer,
  { record, runs, say, signal }: PeerOptions,
): Promise<void> {
  if (typeof command !== "function") {
    say(`${row}: ${command.missing}`);
    return record.note(row, command.missing);
  }
  say(`${row}: ${runs} times`);
  try {
    await once(command(0), expected); // from the page cache on
    for (let index = 1; index <= runs; index++) {
      signal.throwIfAborted();
      const start = performance.now();
      await once(command(index), expected);
      record.add(row, performance.now() - start);
    }
  } catch (error) {
    signal.throwIfAborted();
    say(`${row}: ${error instanceof Error ? error.message : error}`);
    record.fail(row, error);
  }
}

async function peers(folder: string, options: PeerOptions): Promise<Peer[]> {
  const needsRunsc = PEER_ROWS.some(({ name }) => name.includes("runsc") && options.wanted(name));
  const runsc = needsRunsc
    ? await findRunsc({ ...options, given: Deno.env.get("WRENN_BENCH_RUNSC") })
    : { missing: "not wanted" };
  const gvisor = (command: Argv, cgroups: boolean = true): Peer["command"] =>
    "path" in runsc ? () => runscCommand(runsc.path, command, { cgroups }) : runsc;
  const installed = async (
    name: string,
    command: (index: number) => Argv,
  ): Promise<Peer["command"]> => await has(name) ? command : { missing: "not installed" };
  const bundle = join(folder, "bundle");
  await writeBundle(bundle, HOST_PYTHON, PATH);
  const mounts = await Deno.readTextFile("/proc/self/mounts");
  const hybrid = mounts.includes(" /sys/fs/cgroup/unified cgroup2 ");
  return [
    { row: "peer_runsc_python", command: gvisor(HOST_PYTHON), expected: PYTHON_OUTPUT },
    { row: "peer_runsc_true", command: gvisor(HOST_TRUE), expected: "" },
    {
      row: "peer_runsc_bare_python",
      command: gvisor(HOST_PYTHON, false),
      expected: PYTHON_OUTPUT,
    },
    {
      row: "peer_bwrap_python",
      command: await installed("bwrap", () => bwrap(HOST_PYTHON)),
      expected: PYTHON_OUTPUT,
    },
    {
      row: "peer_crun_python",
      command: await installed("crun", (index) => crun(folder, bundle, index, hybrid)),
      expected: PYTHON_OUTPUT,
    },
  ];
}

function bwrap(command: Argv): Argv {
  return [
    "bwrap",
    ...["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"],
    ...["--unshare-all", "--die-with-parent", ...command],
  ];
}

function crun(folder: string, bundle: string, index: number, hybrid: boolean): Argv {
  const id = `wrenn-bench-${Deno.pid}-${index}`;
  const program: Argv = [
    "crun",
    ...["--cgroup-manager", "disabled", "--root", join(folder, "crun")],
    ...["run", "--bundle", bundle, id],
  ];
  return hybrid ? [...LEGACY_CGROUPS, ...program] : program;
}

async function once([cmd, ...args]: Argv, expected: string): Promise<void> {
  const env = { PATH };
  const out = await new Deno.Command(cmd, { args, stdin: "null", clearEnv: true, env }).output();
  const stdout = new TextDecoder().decode(out.stdout);
  if (out.code !== 0 || stdout !== expected) {
    const said = new TextDecoder().decode(out.stderr).trim().slice(-500);
    const line = [cmd, ...args].join(" ");
    throw new Error(`'${line}' ended with code ${out.code} and printed '${stdout}': ${said}`);
  }
}
