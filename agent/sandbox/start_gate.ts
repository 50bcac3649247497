/** A bound on how many machines start at once: first come, first served. */

/** A place among those that start. Disposing of it lets the next one in. */
export type StartPermit = Disposable;

/** Hands out a fixed number of places in the order of asking. */
export class StartGate {
  #free: number;
  readonly #waiting = new Set<() => void>();

  /** @param places How many may start at once, at least 1. */
  constructor(places: number) {
    this.#free = places;
  }

  /** How many wait for a place. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Waits for a place. Rejects with the signal's reason when it aborts first. */
  async enter(signal: AbortSignal): Promise<StartPermit> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return this.#permit();
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener("abort", abort);
        resolve();
      };
      const abort = (): void => {
        this.#waiting.delete(enter);
        reject(signal.reason);
      };
      this.#waiting.add(enter);
      signal.addEventListener("abort", abort, { once: true });
    });
    return this.#permit();
  }

  #permit(): StartPermit {
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const [enter] = this.#waiting;
        if (enter === undefined) this.#free++;
        else {
          this.#waiting.delete(enter);
          enter();
        }
      },
    };
  }
}
