/** A queue between one producer and one consumer with a bound, so that a slow side holds the fast one. */

/** Options of {@linkcode BoundedQueue}. */
export interface BoundedQueueOptions<T> {
  /** `push` waits while the queued items weigh this much or more. */
  readonly limit: number;
  /** Weight of an item, bytes for chunks. Default 1 each. */
  readonly weigh?: (item: T) => number;
}

/**
 * Items in the order of `push`, read by one `for await`. Leaving the loop closes the queue; a closed
 * queue drops what is pushed and never blocks its producer.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #limit: number;
  readonly #weigh: (item: T) => number;
  #items: T[] = [];
  #weight = 0;
  #state: "open" | "ended" | "closed" = "open";
  #failure: { error: unknown } | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriters: (() => void)[] = [];

  /** @param options The bound and how items weigh. */
  constructor(options: BoundedQueueOptions<T>) {
    this.#limit = options.limit;
    this.#weigh = options.weigh ?? (() => 1);
  }

  /** Weight of what waits to be read. */
  get weight(): number {
    return this.#weight;
  }

  /** True while items are accepted. */
  get open(): boolean {
    return this.#state === "open";
  }

  /** Adds an item and resolves when the queue has room for another. False: the item was dropped. */
  async push(item: T): Promise<boolean> {
    if (this.#state !== "open") return false;
    this.#items.push(item);
    this.#weight += this.#weigh(item);
    this.#wakeReader?.();
    while (this.#weight >= this.#limit && this.open) {
      await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
    }
    return true;
  }

  /** No more items: the reader gets what is queued and then the end, or the error. */
  end(failure?: { error: unknown }): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#failure = failure;
    this.#wakeReader?.();
    this.#releaseWriters();
  }

  /** Drops what is queued; the reader sees the end at once. */
  close(): void {
    this.#state = "closed";
    this.#failure = undefined;
    this.#items = [];
    this.#weight = 0;
    this.#wakeReader?.();
    this.#releaseWriters();
  }

  /** Reads to the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      while (true) {
        while (this.#items.length > 0) {
          const [item] = this.#items.splice(0, 1) as [T];
          this.#weight -= this.#weigh(item);
          if (this.#weight < this.#limit) this.#releaseWriters();
          yield item;
        }
        if (this.#failure) throw this.#failure.error;
        if (this.#state !== "open") return;
        await new Promise<void>((resolve) => this.#wakeReader = resolve);
        this.#wakeReader = undefined;
      }
    } finally {
      this.close();
    }
  }

  #releaseWriters(): void {
    for (const wake of this.#wakeWriters.splice(0)) wake();
  }
}
