/** The life of a sandbox: which state may follow which. Every writer of a state goes through this table. */
import type { SandboxStatus } from "../services/types.ts";

/**
 * ```
 * pending -> starting -> running <-> paused -> hibernated -> running
 * any of them -> stopped | error        error -> stopped
 * ```
 * `pending` may become `running` at once: nobody looked while the host was starting it.
 * `stopped` is the end; a sandbox that failed is stopped when its owner destroys it.
 */
export const TRANSITIONS: Readonly<Record<SandboxStatus, readonly SandboxStatus[]>> = {
  pending: ["starting", "running", "stopped", "error"],
  starting: ["running", "stopped", "error"],
  running: ["paused", "stopped", "error"],
  paused: ["running", "hibernated", "stopped", "error"],
  hibernated: ["running", "stopped", "error"],
  stopped: [],
  error: ["stopped"],
};

/** All states. */
export const STATUSES = Object.keys(TRANSITIONS) as SandboxStatus[];

/** States in which nothing of the sandbox is left on any host. */
export const ENDED_STATUSES: readonly SandboxStatus[] = ["stopped", "error"];

/** True when `to` may follow `from`. */
export function canMove(from: SandboxStatus, to: SandboxStatus): boolean {
  return TRANSITIONS[from].includes(to);
}

/** The states that `to` may follow. */
export function statesBefore(to: SandboxStatus): SandboxStatus[] {
  return STATUSES.filter((from) => canMove(from, to));
}

/** True for a state that a sandbox does not leave by itself. */
export function hasEnded(status: SandboxStatus): boolean {
  return ENDED_STATUSES.includes(status);
}
