/** The processes of a platform, written down, so that a `dev` that was killed leaves nothing for ever. */
import { delay } from "@wrenn/common";

/** What `state.json` holds. */
export interface DevState {
  /** Process of `dev` itself. */
  readonly dev: number;
  /** Process of the host agent; 0 before it started. */
  readonly agent: number;
  /** Process of the control plane; 0 before it started. */
  readonly api: number;
  /** The first sandbox has run. */
  readonly ready: boolean;
  /** Base URL of the control plane. */
  readonly url: string;
  /** Run folder of the agent. */
  readonly run: string;
  /** Data folder of the agent. */
  readonly host: string;
}

/** Which program each recorded process must be running to be ours: a recycled pid is never signalled. */
const PROGRAM = { dev: "tasks/dev.ts", agent: "agent/main.ts", api: "api/main.ts" } as const;

/** Reads the file; undefined when there is none or it is torn. */
export async function readState(path: string): Promise<DevState | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(path)) as DevState;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Writes the file under a temporary name and renames it. */
export async function writeState(path: string, state: DevState): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
  await Deno.rename(`${path}.new`, path);
}

/** True while `pid` runs that program of ours. */
export async function isOurs(pid: number, part: keyof typeof PROGRAM): Promise<boolean> {
  if (pid === 0) return false;
  const cmdline = await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "");
  return cmdline.split("\0").some((word) => word.endsWith(PROGRAM[part]));
}

/** Ends the agent and the control plane of a platform whose `dev` was killed. Returns what it ended. */
export async function endLeftovers(state: DevState): Promise<string[]> {
  const ended: string[] = [];
  for (const part of ["api", "agent"] as const) {
    const pid = state[part];
    if (!(await isOurs(pid, part))) continue;
    ended.push(part);
    Deno.kill(pid, "SIGTERM");
    for (let waited = 0; await isOurs(pid, part); waited += 100) {
      if (waited === 65_000) Deno.kill(pid, "SIGKILL");
      await delay(100);
    }
  }
  return ended;
}
