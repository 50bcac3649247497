/** Where a sandbox stands: its state, why it is in it, and since when. What is written down agrees with it. */
import type { Clock, Logger } from "@wrenn/common";
import { type IdleAction, idleAction } from "../core/idle.ts";
import { isFinal, next, type SandboxEvent, type SandboxState } from "../core/sandbox_state.ts";
import type { Activity } from "./activity.ts";
import type { SandboxRecord } from "./records.ts";
import type { EndReason, SandboxOrder } from "./types.ts";

/** What a standing needs. */
export interface StandingOptions {
  readonly clock: Clock;
  /** What a dead agent left; without it the sandbox starts. */
  readonly record?: SandboxRecord | undefined;
  /** Writes down how it stands, whole or not at all. */
  readonly save: (state: SandboxState, reason: EndReason | undefined) => void;
  /** Tells of a change. */
  readonly changed: () => void;
  /** Names the sandbox. */
  readonly log: Logger;
}

/** The state of one sandbox. Only its driver changes it. */
export class Standing {
  readonly #options: StandingOptions;
  #state: SandboxState;
  #reason: EndReason | undefined;
  #pausedMs: number | undefined;
  #endedMs: number | undefined;
  #unsaved = false;

  /** @param options Its clock, its beginning, and who hears of changes. */
  constructor(options: StandingOptions) {
    this.#options = options;
    const { clock, record } = options;
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

  /**
   * Changes the state as the table says, once that is written down.
   *
   * @throws {WrennError} `no_space`; nothing has changed then. @throws {Error} For an event that cannot happen now.
   */
  move(event: SandboxEvent, reason?: EndReason): void {
    const state = this.#after(event);
    this.#options.save(state, reason);
    this.#unsaved = false;
    this.#change(state, reason);
  }

  /** As {@linkcode move}; takes back what was done for it when that cannot be written down. */
  async moveOr(
    event: SandboxEvent,
    reason: EndReason | undefined,
    undo: () => Promise<void>,
  ): Promise<void> {
    try {
      this.move(event, reason);
    } catch (error) {
      await undo();
      throw error;
    }
  }

  /**
   * Changes the state for what has happened and cannot be taken back. Where there is no room to write it down, that is
   * made up for by {@linkcode saveAgain}.
   */
  moveAnyway(event: SandboxEvent, reason?: EndReason): void {
    this.#change(this.#after(event), reason);
    this.save();
  }

  /** Writes down what has changed beside the state; later, where there is no room now. */
  save(): void {
    try {
      this.#options.save(this.#state, this.#reason);
      this.#unsaved = false;
    } catch (error) {
      this.#unsaved = true;
      this.#options.log.warn("Cannot write down how a sandbox stands", { error });
    }
  }

  /** Writes down what could not be written before. Cheap when there is nothing. */
  saveAgain(): void {
    if (this.#unsaved) this.save();
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

  #after(event: SandboxEvent): SandboxState {
    const state = next(this.#state, event);
    if (state === undefined) throw new Error(`Event '${event}' cannot happen in '${this.#state}'`);
    return state;
  }

  #change(state: SandboxState, reason: EndReason | undefined): void {
    this.#state = state;
    this.#reason = reason;
    if (state === "paused") this.#pausedMs = this.#options.clock.monotonic();
    if (isFinal(state)) this.#endedMs = this.#options.clock.monotonic();
    this.#options.changed();
  }
}
