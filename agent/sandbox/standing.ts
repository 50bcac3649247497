/** Where a sandbox stands: its state, why it is in it, and since when. */
import type { Clock } from "@wrenn/common";
import { type IdleAction, idleAction } from "../core/idle.ts";
import { isFinal, next, type SandboxEvent, type SandboxState } from "../core/sandbox_state.ts";
import type { Activity } from "./activity.ts";
import type { SandboxRecord } from "./records.ts";
import type { EndReason, SandboxOrder } from "./types.ts";

/** The state of one sandbox. Only its driver changes it. */
export class Standing {
  readonly #clock: Clock;
  #state: SandboxState;
  #reason: EndReason | undefined;
  #pausedMs: number | undefined;
  #endedMs: number | undefined;

  /** @param clock Tells since when. @param record What a dead agent left; without it the sandbox starts. */
  constructor(clock: Clock, record?: SandboxRecord) {
    this.#clock = clock;
    this.#state = record?.state ?? "starting";
    this.#reason = record?.reason;
    if (this.#state === "paused") this.#pausedMs = clock.monotonic();
  }

  /** The state. */
  get state(): SandboxState {
    return this.#state;
  }

  /** Why it is in this state, when nobody asked for it. */
  get reason(): EndReason | undefined {
    return this.#reason;
  }

  /** Monotonic time since which it is paused, milliseconds. */
  get pausedSinceMs(): number | undefined {
    return this.#state === "paused" ? this.#pausedMs : undefined;
  }

  /** Monotonic time of the end, milliseconds. */
  get endedAtMs(): number | undefined {
    return this.#endedMs;
  }

  /** Changes the state as the table says. @throws {Error} For an event that cannot happen now. */
  move(event: SandboxEvent, reason?: EndReason): void {
    const state = next(this.#state, event);
    if (state === undefined) throw new Error(`Event '${event}' cannot happen in '${this.#state}'`);
    this.#state = state;
    this.#reason = reason;
    if (state === "paused") this.#pausedMs = this.#clock.monotonic();
    if (isFinal(state)) this.#endedMs = this.#clock.monotonic();
  }

  /** What its idleness asks for. `pausedSec`: how long a paused sandbox keeps its memory. */
  idleAction(
    { spec }: SandboxOrder,
    activity: Activity,
    pausedSec: number,
    nowMs: number,
  ): IdleAction {
    return idleAction({
      state: this.#state,
      timeoutSec: spec.timeoutSec,
      onTimeout: spec.onTimeout,
      activeOperations: activity.uses,
      lastActiveMs: activity.lastMs,
      pausedSec,
      pausedMs: this.#pausedMs,
    }, nowMs);
  }
}
