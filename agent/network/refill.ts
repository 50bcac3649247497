/** Work that is done in the background, one piece at a time, whenever there may be some. */
import { delay } from "@wrenn/common";
import { refillPauseMs } from "../core/slot_pool.ts";

/**
 * What came of one piece: `done`, look for more; `idle`, there was nothing to do; `failed`, pause, longer with each
 * failure in a row.
 */
export type RefillStep = "done" | "idle" | "failed";

/** How long a kick waits before it has an effect: the request that made room has the processor to itself. */
const QUIET_MS = 50;

/** Runs a step in the background until it is idle, once for any number of kicks. */
export class Refill {
  readonly #step: () => Promise<RefillStep>;
  readonly #ending = new AbortController();
  #wanted = false;
  #running: Promise<void> | undefined;
  #stepping: Promise<RefillStep> | undefined;

  /** @param step One piece of work; it does not throw. */
  constructor(step: () => Promise<RefillStep>) {
    this.#step = step;
  }

  /** There may be something to do. Returns at once and starts nothing before the caller goes on. */
  kick(): void {
    this.#wanted = true;
    if (!this.#ending.signal.aborted) this.#running ??= this.#run();
  }

  /** Waits for the step that runs; false when none does. */
  async settled(): Promise<boolean> {
    if (this.#stepping === undefined) return false;
    await this.#stepping;
    return true;
  }

  /** Ends the work after the step that runs. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    try {
      // Between the last look at what is wanted and the end nothing waits, so no kick is lost.
      while (this.#wanted && !signal.aborted) {
        await pause(QUIET_MS, signal);
        this.#wanted = false;
        await this.#work(signal);
      }
    } finally {
      this.#running = undefined;
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      this.#stepping = this.#step();
      const result = await this.#stepping;
      this.#stepping = undefined;
      if (result === "idle") return;
      failures = result === "failed" ? failures + 1 : 0;
      if (failures > 0) await pause(refillPauseMs(failures), signal);
    }
  }
}

/** Waits, or until the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, signal).catch(() => {});
}
