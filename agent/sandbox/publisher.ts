/** Changes of state, told to whoever watches. */
import { WrennError } from "@wrenn/common";

/** Items that may wait for one subscriber. */
const QUEUE_LIMIT = 4096;

interface Subscriber<T> {
  items: T[];
  /** Set when the subscription has ended; an error unless it ended well. */
  end: { error?: WrennError } | undefined;
  wake: (() => void) | undefined;
}

/**
 * Sends every item to every subscriber that was there. A subscriber that does not keep up is cut off with
 * an error rather than growing; it subscribes again and lists.
 */
export class Publisher<T> {
  readonly #limit: number;
  readonly #subscribers = new Set<Subscriber<T>>();
  #ended = false;

  /** @param limit Items that may wait for one subscriber. */
  constructor(limit: number = QUEUE_LIMIT) {
    this.#limit = limit;
  }

  /** How many subscribe. */
  get subscribers(): number {
    return this.#subscribers.size;
  }

  /** Hands an item to every subscriber. Never blocks. */
  publish(item: T): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.items.length >= this.#limit) {
        this.#finish(subscriber, {
          error: new WrennError("unavailable", "Watcher is too slow, list and watch again"),
        });
      } else {
        subscriber.items.push(item);
        subscriber.wake?.();
      }
    }
  }

  /** Ends every subscription after what is queued, and those to come. */
  end(): void {
    this.#ended = true;
    for (const subscriber of this.#subscribers) this.#finish(subscriber, {});
  }

  /**
   * Subscribes at once, not at the first read. The iterable ends when the signal aborts or the publisher ends.
   *
   * @throws {WrennError} `unavailable` from the iterable of a subscriber that was too slow.
   */
  subscribe(signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    const subscriber: Subscriber<T> = { items: [], end: undefined, wake: undefined };
    const stop = (): void => {
      subscriber.items = [];
      this.#finish(subscriber, {});
    };
    if (this.#ended || signal.aborted) subscriber.end = {};
    else {
      this.#subscribers.add(subscriber);
      signal.addEventListener("abort", stop, { once: true });
    }
    return read(subscriber, () => {
      signal.removeEventListener("abort", stop);
      stop();
    });
  }

  #finish(subscriber: Subscriber<T>, end: { error?: WrennError }): void {
    this.#subscribers.delete(subscriber);
    subscriber.end ??= end;
    subscriber.wake?.();
  }
}

async function* read<T>(
  subscriber: Subscriber<T>,
  close: () => void,
): AsyncGenerator<T, void, undefined> {
  try {
    while (true) {
      const items = subscriber.items.splice(0);
      yield* items;
      if (subscriber.items.length > 0) continue;
      if (subscriber.end?.error) throw subscriber.end.error;
      if (subscriber.end) return;
      await new Promise<void>((resolve) => subscriber.wake = resolve);
      subscriber.wake = undefined;
    }
  } finally {
    close();
  }
}
