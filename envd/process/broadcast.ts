/** One source, any number of readers, each at its own pace with a bounded queue; the source waits for the slowest. */

/** What {@linkcode Subscription.next} answers when nothing came in time. */
export const IDLE: unique symbol = Symbol("idle");

/** Bytes that may wait for one reader before the source is held back. */
const QUEUE_BYTES = 256 * 1024;

/** One reader's queue. */
export class Subscription<T> implements Disposable {
  readonly #limit: number;
  readonly #onClose: () => void;
  #items: { item: T; size: number }[] = [];
  #bytes = 0;
  #ended = false;
  #closed = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriters: (() => void)[] = [];

  /** @param limit Bytes that may wait. @param onClose Called once, when the reader goes. */
  constructor(limit: number, onClose: () => void) {
    this.#limit = limit;
    this.#onClose = onClose;
  }

  /**
   * The next item, `undefined` after the last one, {@linkcode IDLE} when none came within `idleMs`.
   * One call at a time.
   */
  async next(idleMs?: number): Promise<T | typeof IDLE | undefined> {
    if (this.#items.length === 0 && !this.#ended && !this.#closed) await this.#wait(idleMs);
    const entry = this.#items.shift();
    if (!entry) return this.#ended || this.#closed ? undefined : IDLE;
    this.#bytes -= entry.size;
    if (this.#bytes < this.#limit) this.#releaseWriters();
    return entry.item;
  }

  /** Leaves: what waits is forgotten and the source is no longer held back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#items = [];
    this.#wakeReader?.();
    this.#releaseWriters();
    this.#onClose();
  }

  /** Same as {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Queues an item; resolves when there is room for the next one. */
  push(item: T, size: number): Promise<void> | undefined {
    if (this.#closed || this.#ended) return undefined;
    this.#items.push({ item, size });
    this.#bytes += size;
    this.#wakeReader?.();
    if (this.#bytes < this.#limit) return undefined;
    return new Promise((resolve) => this.#wakeWriters.push(resolve));
  }

  /** No item will follow. */
  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
    this.#releaseWriters();
  }

  #releaseWriters(): void {
    for (const wake of this.#wakeWriters.splice(0)) wake();
  }

  #wait(idleMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = idleMs === undefined ? undefined : setTimeout(() => wake(), idleMs);
      const wake = (): void => {
        clearTimeout(timer);
        this.#wakeReader = undefined;
        resolve();
      };
      this.#wakeReader = wake;
    });
  }
}

/** The source's side. Items published while nobody reads are dropped. */
export class Broadcast<T> {
  readonly #limit: number;
  readonly #subscriptions: Set<Subscription<T>> = new Set();

  /** @param limit Bytes that may wait for one reader. */
  constructor(limit: number = QUEUE_BYTES) {
    this.#limit = limit;
  }

  /** Number of readers. */
  get readers(): number {
    return this.#subscriptions.size;
  }

  /** A new reader; it sees what is published from here on. */
  subscribe(): Subscription<T> {
    const subscription = new Subscription<T>(
      this.#limit,
      () => this.#subscriptions.delete(subscription),
    );
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /** Gives an item of `size` bytes to every reader and waits until all have room again. */
  async publish(item: T, size: number): Promise<void> {
    const full: Promise<void>[] = [];
    for (const subscription of this.#subscriptions) {
      const room = subscription.push(item, size);
      if (room) full.push(room);
    }
    if (full.length > 0) await Promise.all(full);
  }

  /** Gives every reader a last item and ends their queues. */
  finish(item: T): void {
    for (const subscription of this.#subscriptions) {
      subscription.push(item, 0);
      subscription.end();
    }
    this.#subscriptions.clear();
  }
}
