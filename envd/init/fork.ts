/** What a copy of a guest does before its processes go on: it tells of connections that are not its own, and runs hooks. */
import { logger } from "@wrenn/common/log";
import { fileMode } from "../linux/stat.ts";
import type { GuestState } from "./state.ts";

/** How one hook ended. */
export interface HookReport {
  readonly name: string;
  readonly exit_code: number;
  readonly timed_out: boolean;
}

/** Folder of programs that run in name order, as root. */
export const HOOKS = "/etc/wrenn/on-fork.d";
const NO_HOOKS = "/etc/wrenn/none";
const HOOK_LIMIT_MS = 10_000;
const KILLED = 137;

/** What was done. */
export interface ForkReport {
  readonly connections_dropped: number;
  readonly hooks: readonly HookReport[];
}

/**
 * What every copy does, with the programs of a folder. Its original's connections are reset by the host: its slot knows
 * none of them and answers their first segment so. This kernel has no SOCK_DESTROY (sock_diag(7)) to end the idle ones
 * at once.
 */
export async function becomeCopy(state: GuestState, hooks: string = HOOKS): Promise<ForkReport> {
  return { connections_dropped: state.connections, hooks: await runForkHooks(hooks) };
}

/**
 * Goes the way of {@linkcode becomeCopy} without hooks. What runs for the first time is compiled first, which costs an
 * emulated guest 400 ms; what was compiled before the golden snapshot is so in every copy.
 */
export async function rehearseCopy(state: GuestState): Promise<void> {
  await becomeCopy(state, NO_HOOKS);
}

/** Runs the programs of a folder, one after the other, each for at most ten seconds. */
export async function runForkHooks(folder: string): Promise<HookReport[]> {
  const reports: HookReport[] = [];
  for (const name of hookNames(folder)) {
    const limit = AbortSignal.timeout(HOOK_LIMIT_MS);
    try {
      const { code } = await new Deno.Command(`${folder}/${name}`, {
        cwd: "/",
        stdin: "null",
        stdout: "null",
        stderr: "null",
        signal: limit,
      }).output();
      reports.push({ name, exit_code: limit.aborted ? KILLED : code, timed_out: limit.aborted });
    } catch (error) {
      logger("envd", "fork").warn("Cannot run a hook", { name, error });
      reports.push({ name, exit_code: 126, timed_out: false });
    }
  }
  return reports;
}

function hookNames(folder: string): string[] {
  if (!fileMode(folder)?.isDirectory) return [];
  return [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => {
      const mode = fileMode(`${folder}/${name}`);
      return mode?.isExecutable && !mode.isDirectory;
    }).sort();
}
