/** When a sandbox was last used, and whether it is in use. */
import type { Clock } from "@wrenn/common";
import type { Guest } from "../guest/guest.ts";

/** A running sandbox in use. While it is held the sandbox is not idle. */
export interface GuestLease extends Disposable {
  readonly guest: Guest;
}

/** Counts the uses of one sandbox. */
export class Activity {
  readonly #clock: Clock;
  #uses = 0;
  #lastMs: number;
  #lastAt: number;

  /** @param clock Begins now. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.monotonic();
    this.#lastAt = clock.now();
  }

  /** Uses under way: while there is one the sandbox is not idle. */
  get uses(): number {
    return this.#uses;
  }

  /** Monotonic milliseconds of the last use's beginning or end. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Wall-clock milliseconds of the last use; now, while there is one. */
  get lastAt(): number {
    return this.#uses > 0 ? this.#clock.now() : this.#lastAt;
  }

  /** Counts as a use that is over at once. */
  touch(): void {
    this.#lastAt = this.#clock.now();
    this.#lastMs = this.#clock.monotonic();
  }

  /** Begins a use, which ends when the answer is disposed of. */
  use(guest: Guest): GuestLease {
    this.#uses++;
    this.touch();
    let held = true;
    return {
      guest,
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#uses--;
        this.touch();
      },
    };
  }
}
