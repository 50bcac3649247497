/** The diffs of a memory chain, open and laid over one another. */
import { type ChainSegment, overlapping, planChain } from "../core/memory_chain.ts";
import { PAGE_BYTES, type PageRun } from "../core/memory_pages.ts";
import { MemoryDiff } from "./memory_diff.ts";

/** An open chain. */
export class DiffChain implements Disposable {
  /** Which diff holds which pages: ascending, without overlap. */
  readonly segments: readonly ChainSegment[];
  readonly #diffs: readonly MemoryDiff[];

  private constructor(diffs: readonly MemoryDiff[]) {
    this.#diffs = diffs;
    this.segments = planChain(diffs.map(({ runs }) => runs));
  }

  /** Opens diffs, oldest first. @throws {WrennError} `snapshot_corrupt` */
  static async open(paths: readonly string[]): Promise<DiffChain> {
    const diffs: MemoryDiff[] = [];
    try {
      for (const path of paths) diffs.push(await MemoryDiff.open(path));
      return new DiffChain(diffs);
    } catch (error) {
      for (const diff of diffs) diff[Symbol.dispose]();
      throw error;
    }
  }

  /** What the chain holds of these pages. */
  within(run: PageRun): ChainSegment[] {
    return overlapping(this.segments, run);
  }

  /** Reads pages of a segment: `into` is a whole number of pages, from the segment's page `skip` on. */
  async read(
    { diff, at }: ChainSegment,
    into: Uint8Array<ArrayBuffer>,
    skip: number = 0,
  ): Promise<void> {
    const from = this.#diffs[diff];
    if (from === undefined) throw new RangeError(`The chain has no diff ${diff}`);
    await from.read(at + skip, into);
  }

  /**
   * Gives every page of the chain to `take`, in ascending order, in pieces of at most `pieceBytes`. The bytes are good
   * until it answers. What lies side by side in a diff is read at once, however scattered the pages are.
   */
  async forEach(
    take: (first: number, bytes: Uint8Array<ArrayBuffer>) => Promise<void> | void,
    pieceBytes: number = 4 << 20,
  ): Promise<void> {
    const buffer = new Uint8Array(pieceBytes);
    for (const group of inReads(this.segments, pieceBytes / PAGE_BYTES)) {
      const [head] = group;
      if (head === undefined) continue;
      const pages = group.reduce((sum, { count }) => sum + count, 0);
      await this.read(head, buffer.subarray(0, pages * PAGE_BYTES));
      let at = 0;
      for (const { first, count } of group) {
        const end = at + count * PAGE_BYTES;
        await take(first, buffer.subarray(at, end));
        at = end;
      }
    }
  }

  /** Closes the diffs. */
  [Symbol.dispose](): void {
    for (const diff of this.#diffs) diff[Symbol.dispose]();
  }
}

/** Segments cut and grouped so that each group is one read of at most `most` pages. */
function* inReads(
  segments: readonly ChainSegment[],
  most: number,
): Generator<readonly ChainSegment[]> {
  let group: ChainSegment[] = [];
  let pages = 0;
  for (const whole of segments) {
    for (let done = 0; done < whole.count;) {
      const last = group.at(-1);
      const at = whole.at + done;
      const follows = last !== undefined && last.diff === whole.diff &&
        last.at + last.count === at;
      if (pages === most || (last !== undefined && !follows)) {
        yield group;
        group = [];
        pages = 0;
      }
      const count = Math.min(most - pages, whole.count - done);
      group.push({ first: whole.first + done, count, diff: whole.diff, at });
      pages += count;
      done += count;
    }
  }
  if (group.length > 0) yield group;
}
