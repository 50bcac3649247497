/**
 * The states of a sandbox on one host, as a table.
 *
 * ```
 * starting --started--> running --paused--> paused --hibernated--> hibernated
 *                          ^ ^---resumed------|                         |
 *                          |-----------------resumed--------------------|
 * any of them --failed--> error, --destroyed--> stopped
 * ```
 *
 * `stopped` and `error` are final: nothing of the sandbox is left on the host. A hibernated one is files alone.
 */

/** State of a sandbox on this host. */
export type SandboxState = "starting" | "running" | "paused" | "hibernated" | "stopped" | "error";

/** What happened to a sandbox. */
export type SandboxEvent =
  | "started"
  | "paused"
  | "hibernated"
  | "resumed"
  | "failed"
  | "destroyed";

/** Every legal transition. What is not in it is a fault of the caller. */
export const TRANSITIONS: Readonly<
  Record<SandboxState, Readonly<Partial<Record<SandboxEvent, SandboxState>>>>
> = {
  starting: { started: "running", failed: "error", destroyed: "stopped" },
  running: { paused: "paused", failed: "error", destroyed: "stopped" },
  paused: { resumed: "running", hibernated: "hibernated", failed: "error", destroyed: "stopped" },
  hibernated: { resumed: "running", failed: "error", destroyed: "stopped" },
  stopped: {},
  error: {},
};

/** The state after an event; undefined when the event cannot happen in that state. */
export function next(state: SandboxState, event: SandboxEvent): SandboxState | undefined {
  return TRANSITIONS[state][event];
}

/** True when nothing of the sandbox is left on the host. */
export function isFinal(state: SandboxState): boolean {
  return state === "stopped" || state === "error";
}
