/** A part of the platform as a child process: its log in a file, its end noticed, its group its own. */
import { join } from "node:path";
import { repoRoot } from "../lib/shell.ts";

/** A started part. */
export interface Part {
  /** `agent` or `api`. */
  readonly name: string;
  /** Process id. */
  readonly pid: number;
  /** Log file. */
  readonly log: string;
  /** Settles when the process has ended. */
  readonly ended: Promise<Deno.CommandStatus>;
  /** Asks it to end, waits up to `graceMs`, then kills it. */
  stop(graceMs: number): Promise<void>;
}

/** How to start a part. */
export interface PartSpec {
  readonly name: string;
  /** Arguments of `deno`. */
  readonly args: readonly string[];
  /** Environment beside this process's. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder of the log file. */
  readonly logs: string;
}

/**
 * Starts a part in a session of its own, so that Ctrl-C at the terminal reaches `dev` alone, which then ends
 * its parts in order. The shell gives it a log file as output and becomes it.
 */
export function startPart(spec: PartSpec): Part {
  const log = join(spec.logs, `${spec.name}.log`);
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'exec "$@" >>"$0" 2>&1', log, Deno.execPath(), ...spec.args],
    cwd: repoRoot(),
    env: { ...spec.env },
    detached: true,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const ended = child.status;
  return {
    name: spec.name,
    pid: child.pid,
    log,
    ended,
    async stop(graceMs: number): Promise<void> {
      signal(child, "SIGTERM");
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<"late">((resolve) => {
        timer = setTimeout(() => resolve("late"), graceMs);
      });
      if ((await Promise.race([ended, late])) === "late") signal(child, "SIGKILL");
      clearTimeout(timer);
      await ended;
    },
  };
}

/** The end of a log file, for the message about a part that died. */
export async function logTail(path: string, lines: number = 20): Promise<string> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch (error) {
    // It has ended already; `ended` says how.
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
}
