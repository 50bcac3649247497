/** Bookkeeping of slots: what each index is at the moment, which one a claim gets, when another must be built. */
import { SlotAllocator, type SlotRange } from "./slot_allocator.ts";

/**
 * What an index is, unless it is free.
 *
 * - `working`: being built, checked or removed
 * - `ready`: built, clean and nobody's
 * - `claimed`: a sandbox's
 * - `kept`: left by the agent before this one, not taken over yet
 * - `lost`: its names are held by something that we cannot remove; out of use
 */
export type SlotState = "working" | "ready" | "claimed" | "kept" | "lost";

/** An index that a claim got. */
export interface TakenSlot {
  readonly index: number;
  /** True when its slot is built and the claim is done; false when it has to be built. */
  readonly ready: boolean;
}

/** First pause after a build in the background that failed, milliseconds; it doubles with each failure. */
const FIRST_PAUSE_MS = 1_000;
/** Longest pause between builds that fail. */
const LONGEST_PAUSE_MS = 60_000;

/** How long to wait after so many failures in a row before building again. */
export function refillPauseMs(failures: number): number {
  return failures === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
}

/** The states of a range's indexes. An index that is in none of them is free. */
export class SlotPool {
  readonly #free: SlotAllocator;
  readonly #target: number;
  readonly #states = new Map<number, SlotState>();
  /** Those of the working ones that become ready. */
  readonly #filling = new Set<number>();

  /**
   * @param range The indexes.
   * @param target How many shall be ready.
   * @throws {RangeError} When the range is empty or leaves 1 to 65534, or the target is not a whole number.
   */
  constructor(range: SlotRange, target: number = 0) {
    if (!Number.isInteger(target) || target < 0) {
      throw new RangeError(`Wrong number of ready slots '${target}'`);
    }
    this.#free = new SlotAllocator(range);
    this.#target = target;
  }

  /** For a claim: the slot that has been ready the longest, else a free index, which is `working` from now. */
  take(): TakenSlot | undefined {
    for (const [index, state] of this.#states) {
      if (state !== "ready") continue;
      this.#states.set(index, "claimed");
      return { index, ready: true };
    }
    const index = this.#free.take();
    if (index === undefined) return undefined;
    this.#set(index, "working");
    return { index, ready: false };
  }

  /** An index to build for the pool, `working` from now; undefined when enough are ready or none is free. */
  fill(): number | undefined {
    if (this.count("ready") + this.#filling.size >= this.#target) return undefined;
    const index = this.#free.take();
    if (index === undefined) return undefined;
    this.#set(index, "working");
    this.#filling.add(index);
    return index;
  }

  /** Marks a free index as `kept`; false when it is not free or outside the range. */
  keep(index: number): boolean {
    if (!this.#free.reserve(index)) return false;
    this.#set(index, "kept");
    return true;
  }

  /** Moves an index from a state to `working`; false when it is in another one. */
  work(index: number, from: Exclude<SlotState, "working" | "lost">): boolean {
    if (this.#states.get(index) !== from) return false;
    this.#set(index, "working");
    return true;
  }

  /**
   * Ends the work on an index.
   *
   * @throws {Error} When there is none.
   */
  settle(index: number, as: Exclude<SlotState, "working"> | "free"): void {
    if (this.#states.get(index) !== "working") throw new Error(`Slot '${index}' is not worked on`);
    this.#filling.delete(index);
    if (as !== "free") return this.#set(index, as);
    this.#states.delete(index);
    this.#free.give(index);
  }

  /** State of an index; undefined when it is free. */
  state(index: number): SlotState | undefined {
    return this.#states.get(index);
  }

  /** Indexes in a state. */
  list(state: SlotState): number[] {
    return [...this.#states].flatMap(([index, s]) => s === state ? [index] : []);
  }

  /** How many indexes are in a state. */
  count(state: SlotState): number {
    let count = 0;
    for (const s of this.#states.values()) if (s === state) count++;
    return count;
  }

  /** The map keeps the order in which indexes came to their states. */
  #set(index: number, state: SlotState): void {
    this.#states.delete(index);
    this.#states.set(index, state);
  }
}
