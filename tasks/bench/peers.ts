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

/** One sample of each peer that is measured by turns with our own; the first failure of one ends its turns. */
export type PeerTurn = () => Promise<void>;

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

/**
 * Measures every peer that is there. One that is not, or that fails, leaves a note. Those of `turns`, which must need no
 * file of ours, are only got ready: the phase that is set against them takes a turn of theirs before each of its own
 * samples, so that a machine that grows faster or slower during the run does so for both.
 */
export async function runPeers(
  options: PeerOptions,
  turns: readonly string[] = [],
): Promise<PeerTurn> {
  const inTurn: Peer[] = [];
  const folder = await Deno.makeTempDir({ prefix: "wrenn-bench-" });
  try {
    for (const peer of await peers(folder, options)) {
      if (!options.wanted(peer.row)) continue;
      if (!await prepared(peer, options)) continue;
      if (turns.includes(peer.row)) inTurn.push(peer);
      else await repeat(peer, options, options.runs);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return async () => {
    for (const peer of inTurn) await repeat(peer, options, 1);
  };
}

/** Runs a peer once, after which its files are in the page cache; false when it cannot be measured. */
async function prepared(peer: Peer, options: PeerOptions): Promise<boolean> {
  const { row, command, expected } = peer;
  if (typeof command !== "function") {
    options.say(`${row}: ${command.missing}`);
    options.record.note(row, command.missing);
    return false;
  }
  try {
    await once(command(0), expected);
    return true;
  } catch (error) {
    failed(peer, options, error);
    return false;
  }
}

/** Adds samples; the first failure is the last. */
async function repeat(peer: Peer, options: PeerOptions, times: number): Promise<void> {
  const { row, command, expected } = peer;
  const { record, say, signal } = options;
  if (typeof command !== "function" || record.failures(row) > 0) return;
  if (times > 1) say(`${row}: ${times} times`);
  try {
    for (let n = 0; n < times; n++) {
      signal.throwIfAborted();
      const argv = command(record.values(row).length + 1);
      const start = performance.now();
      await once(argv, expected);
      record.add(row, performance.now() - start);
    }
  } catch (error) {
    failed(peer, options, error);
  }
}

function failed({ row }: Peer, { record, say, signal }: PeerOptions, error: unknown): void {
  signal.throwIfAborted();
  say(`${row}: ${error instanceof Error ? error.message : error}`);
  record.fail(row, error);
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
