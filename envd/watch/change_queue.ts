/** Changes that wait for one client: in order, equal ones that follow each other told once, bounded. */
import type { ChangeKind } from "../core/inotify.ts";
import { IDLE } from "../process/broadcast.ts";

/** One change under a watched directory. */
export interface Change {
  /** Path relative to the watched directory; `.` for itself. */
  readonly name: string;
  /** What happened. */
  readonly kind: ChangeKind;
}

/** Changes that may wait. */
const MAX_CHANGES = 16_384;

/** The queue. */
export class ChangeQueue {
  readonly #limit: number;
  #changes: Change[] = [];
  readonly #latest: Map<string, Change> = new Map();
  #wake: (() => void) | undefined;
  #closed = false;
  #lost = false;

  /** @param limit Changes that may wait before others are lost. */
  constructor(limit: number = MAX_CHANGES) {
    this.#limit = limit;
  }

  /** Adds a change, unless the last one of that name that waits is the same. */
  push(change: Change): void {
    if (this.#closed || this.#latest.get(change.name)?.kind === change.kind) return;
    if (this.#changes.length >= this.#limit) this.#lost = true;
    else {
      this.#changes.push(change);
      this.#latest.set(change.name, change);
    }
    this.#wake?.();
  }

  /** Notes that changes were lost before they came here. */
  markLost(): void {
    this.#lost = true;
    this.#wake?.();
  }

  /** True once after changes were lost; told after all that came before the loss. */
  takeLost(): boolean {
    const lost = this.#lost && this.#changes.length === 0;
    if (lost) this.#lost = false;
    return lost;
  }

  /** All that wait. */
  drain(): Change[] {
    this.#latest.clear();
    return this.#changes.splice(0);
  }

  /** The next change; `IDLE` when none came within `idleMs` or after a loss; undefined when closed. */
  async next(idleMs: number): Promise<Change | typeof IDLE | undefined> {
    if (this.#changes.length === 0 && !this.#closed && !this.#lost) await this.#wait(idleMs);
    const change = this.#changes.shift();
    if (!change) return this.#closed ? undefined : IDLE;
    if (this.#latest.get(change.name) === change) this.#latest.delete(change.name);
    return change;
  }

  /** Ends the queue for its reader. */
  close(): void {
    this.#closed = true;
    this.#changes = [];
    this.#wake?.();
  }

  #wait(idleMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(wake, idleMs);
      this.#wake = wake;
    });
  }
}
