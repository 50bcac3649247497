/** Starting the shell that a VMM process begins as. */

/** Killed before the agent and the host's services when memory runs out. */
export const OOM_SCORE_ADJ = 600;

/**
 * Starts `/bin/sh` in a session of its own, with nothing of the agent's environment: what it becomes outlives the
 * agent, and no signal to the agent's group reaches it.
 */
export function spawnVmm(args: string[]): Deno.ChildProcess {
  return new Deno.Command("/bin/sh", {
    args,
    cwd: "/",
    clearEnv: true,
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached: true,
  }).spawn();
}
