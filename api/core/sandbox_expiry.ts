/** When an idle sandbox ends. */
import type { SandboxStatus } from "../services/types.ts";

/** What the deadline depends on. */
export interface IdleView {
  readonly status: SandboxStatus;
  /** Seconds, 0 = none. */
  readonly timeoutSec: number;
  readonly lastActiveAt: Date;
}

/** States in which the host counts idle time: a paused sandbox stays until somebody lets it go. */
const COUNTING: readonly SandboxStatus[] = ["pending", "starting", "running"];

/** The idle deadline; undefined without a timeout and while the sandbox does not run. */
export function expiresAt({ status, timeoutSec, lastActiveAt }: IdleView): Date | undefined {
  if (timeoutSec === 0 || !COUNTING.includes(status)) return undefined;
  return new Date(lastActiveAt.getTime() + timeoutSec * 1000);
}
