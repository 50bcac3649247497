/** When an idle sandbox has outlived its timeout, and what becomes of it. Times are monotonic milliseconds. */
import type { SandboxState } from "./sandbox_state.ts";

/** What the decision depends on. */
export interface IdleView {
  readonly state: SandboxState;
  /** Idle lifetime, seconds; 0 = none. */
  readonly timeoutSec: number;
  readonly onTimeout: "destroy" | "pause";
  /** Commands, streams and transfers under way: while there is one the sandbox is not idle. */
  readonly activeOperations: number;
  /** When the last operation or ping began or ended. */
  readonly lastActiveMs: number;
}

/** What the reaper does with a sandbox. */
export type IdleAction = "none" | "destroy" | "pause";

/** When the sandbox expires unless something happens; undefined when it does not. Only running ones do. */
export function idleDeadlineMs(view: IdleView): number | undefined {
  if (view.state !== "running" || view.timeoutSec === 0 || view.activeOperations > 0) {
    return undefined;
  }
  return view.lastActiveMs + view.timeoutSec * 1000;
}

/** Decides about one sandbox at `nowMs`. */
export function idleAction(view: IdleView, nowMs: number): IdleAction {
  const deadline = idleDeadlineMs(view);
  return deadline !== undefined && nowMs >= deadline ? view.onTimeout : "none";
}
