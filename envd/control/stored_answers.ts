/** Answers that are too large for a datagram, kept until their caller has fetched them. */

/** How long an answer waits, and how many do at most. */
const KEPT_MS = 60_000;
const MOST = 8;

/** Answers by the id of their question. */
export class StoredAnswers {
  readonly #answers: Map<string, Uint8Array<ArrayBuffer>> = new Map();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Keeps an answer for a minute; beyond eight the oldest goes. */
  keep(id: string, bytes: Uint8Array<ArrayBuffer>): void {
    this.#answers.set(id, bytes);
    for (const old of this.#answers.keys()) {
      if (this.#answers.size <= MOST) break;
      this.#answers.delete(old);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.clear(), KEPT_MS);
  }

  /** The answer to a question, once. */
  take(id: string): Uint8Array<ArrayBuffer> | undefined {
    const bytes = this.#answers.get(id);
    this.#answers.delete(id);
    return bytes;
  }

  /** Forgets all. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#answers.clear();
  }
}
