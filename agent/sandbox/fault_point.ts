/**
 * Places at which a test can have the agent, or the machine that it works on, killed: `WRENN_FAULT_POINT` names one,
 * `agent:hibernate.committed` or `vmm:hibernate.committed`. Nothing happens without the variable.
 */

/** The steps between which something can die. */
export type FaultPoint =
  | "pause.frozen"
  | "pause.stopped"
  | "capture.state"
  | "capture.memory"
  | "capture.layer"
  | "capture.switched"
  | "capture.disk"
  | "capture.committed"
  | "hibernate.recorded"
  | "hibernate.ended"
  | "wake.restored"
  | "wake.resumed"
  | "wake.recorded"
  | "fork.captured"
  | "fork.child";

const CHOSEN = Deno.env.get("WRENN_FAULT_POINT");

/** Dies here, or kills the process `vmmPid`, when a test has chosen this point. */
export async function faultPoint(point: FaultPoint, vmmPid?: number): Promise<void> {
  if (CHOSEN === undefined) return;
  if (CHOSEN === `agent:${point}`) {
    Deno.kill(Deno.pid, "SIGKILL");
    await new Promise(() => {});
  }
  if (CHOSEN === `vmm:${point}` && vmmPid !== undefined) Deno.kill(vmmPid, "SIGKILL");
}
