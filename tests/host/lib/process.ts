/** Parts of the platform as child processes that a test may kill. */
import { join } from "node:path";
import { delay } from "@wrenn/common";
import { SLOWNESS } from "../../../agent/testing/slowness.ts";
import { repoRoot } from "../../../tasks/lib/shell.ts";

/** How to start a process. */
export interface ProcessSpec {
  /** Names the log file. */
  readonly name: string;
  /** Program file of this repository, run by Deno. */
  readonly program: string;
  /** Environment beside this process's. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder of the log file. */
  readonly logs: string;
  /** Network namespace to run in; this process's unless given. */
  readonly namespace?: string;
}

/** A started process. Disposing of it kills it if it still runs. */
export interface TestProcess extends AsyncDisposable {
  /** Process id of Deno itself: the programs before it became it. */
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly ended: Promise<Deno.CommandStatus>;
  /** True once it has ended. */
  readonly hasEnded: boolean;
  /** Sends a signal and waits for the end. */
  end(signal: Deno.Signal): Promise<Deno.CommandStatus>;
  /** The end of its log. */
  log(): Promise<string>;
}

const LOG_CHARS = 6000;
const OFFER_LIMIT_MS = 60_000 * SLOWNESS;

/** Starts a program of this repository with its output in `{logs}/{name}.log`. */
export function startProcess(spec: ProcessSpec): TestProcess {
  const log = join(spec.logs, `${spec.name}.log`);
  const enter = spec.namespace ? ["nsenter", `--net=/run/netns/${spec.namespace}`, "--"] : [];
  const child = new Deno.Command("/bin/sh", {
    args: [
      ...["-c", 'exec "$@" >>"$0" 2>&1', log],
      ...[...enter, Deno.execPath(), "run", "-A", "--quiet", spec.program],
    ],
    cwd: repoRoot(),
    env: { ...spec.env },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let hasEnded = false;
  const ended = child.status.then((status) => {
    hasEnded = true;
    return status;
  });
  const end = async (signal: Deno.Signal): Promise<Deno.CommandStatus> => {
    if (!hasEnded) child.kill(signal);
    return await ended;
  };
  return {
    pid: child.pid,
    ended,
    get hasEnded() {
      return hasEnded;
    },
    end,
    log: async () => (await Deno.readTextFile(log)).slice(-LOG_CHARS),
    [Symbol.asyncDispose]: async () => void await end("SIGKILL"),
  };
}

/** Waits until a process offers something; throws with its log when it ends before, or after a minute on a host of usual speed. */
export async function untilOffers(
  process: TestProcess,
  what: string,
  offers: () => Promise<boolean>,
): Promise<void> {
  for (const began = performance.now(); !await offers(); await delay(50)) {
    if (!process.hasEnded && performance.now() - began < OFFER_LIMIT_MS) continue;
    const how = process.hasEnded ? "has ended" : `does not offer ${what}`;
    throw new Error(`The process ${how}:\n${await process.log()}`);
  }
}
