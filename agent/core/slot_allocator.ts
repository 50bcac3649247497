/** Which slot comes next: indexes rotate through their range, so that a released one rests the longest. */
import { isSlotIndex } from "./slot_plan.ts";

/** An agent's share of the slot indexes, both ends included. */
export interface SlotRange {
  /** Lowest index, at least 1. */
  readonly first: number;
  /** Highest index, at most 65534. */
  readonly last: number;
}

/** Hands out free indexes of a range. */
export class SlotAllocator {
  readonly #range: SlotRange;
  readonly #used = new Set<number>();
  #next: number;

  /** @throws {RangeError} When the range is empty or leaves 1 to 65534. */
  constructor(range: SlotRange) {
    if (!isSlotIndex(range.first) || !isSlotIndex(range.last) || range.first > range.last) {
      throw new RangeError(`Wrong slot range '${range.first}-${range.last}'`);
    }
    this.#range = range;
    this.#next = range.first;
  }

  /** Takes the next free index after the one taken last; undefined when all are in use. */
  take(): number | undefined {
    const { first, last } = this.#range;
    const size = last - first + 1;
    if (this.#used.size === size) return undefined;
    let index = this.#next;
    while (this.#used.has(index)) index = index === last ? first : index + 1;
    this.#used.add(index);
    this.#next = index === last ? first : index + 1;
    return index;
  }

  /** Takes this index; false when it is in use or outside the range. */
  reserve(index: number): boolean {
    const { first, last } = this.#range;
    if (!Number.isInteger(index) || index < first || index > last) return false;
    if (this.#used.has(index)) return false;
    this.#used.add(index);
    return true;
  }

  /** Makes an index free again. */
  give(index: number): void {
    this.#used.delete(index);
  }

  /** How many indexes are taken. */
  get size(): number {
    return this.#used.size;
  }
}
