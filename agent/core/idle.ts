/** When an idle sandbox has outlived its timeout, and what becomes of it. Times are monotonic milliseconds. */
import type { SandboxState } from "./sandbox_state.ts";

/** What becomes of a sandbox that was idle for its timeout. */
export type OnTimeout = "destroy" | "pause" | "hibernate";

/** What the decision depends on. */
export interface IdleView {
  readonly state: SandboxState;
  /** Idle lifetime, seconds; 0 = none. */
  readonly timeoutSec: number;
  readonly onTimeout: OnTimeout;
  /** Commands, streams and transfers under way: while there is one the sandbox is not idle. */
  readonly activeOperations: number;
  /** When the last operation or ping began or ended. */
  readonly lastActiveMs: number;
  /** How long a paused sandbox keeps its memory, seconds; 0 = until somebody resumes it. */
  readonly pausedSec: number;
  /** When it was paused. */
  readonly pausedMs: number | undefined;
}

/** What the reaper does with a sandbox. */
export type IdleAction = "none" | OnTimeout;

/** When something becomes of the sandbox unless something happens; undefined when it may stay as it is. */
export function idleDeadlineMs(view: IdleView): number | undefined {
  const { state, timeoutSec, pausedSec, pausedMs } = view;
  if (state === "paused" && pausedSec > 0 && pausedMs !== undefined) {
    return pausedMs + pausedSec * 1000;
  }
  if (state !== "running" || timeoutSec === 0 || view.activeOperations > 0) return undefined;
  return view.lastActiveMs + timeoutSec * 1000;
}

/** Decides about one sandbox at `nowMs`. */
export function idleAction(view: IdleView, nowMs: number): IdleAction {
  const deadline = idleDeadlineMs(view);
  if (deadline === undefined || nowMs < deadline) return "none";
  return view.state === "paused" ? "hibernate" : view.onTimeout;
}
