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

  /** Gives every page of the chain to `take`, in ascending order, in pieces of at most `pieceBytes`. */
  async forEach(
    take: (first: number, bytes: Uint8Array<ArrayBuffer>) => Promise<void>,
    pieceBytes: number = 4 << 20,
  ): Promise<void> {
    const most = pieceBytes / PAGE_BYTES;
    for (const segment of this.segments) {
      for (let done = 0; done < segment.count; done += most) {
        const count = Math.min(most, segment.count - done);
        const bytes = new Uint8Array(count * PAGE_BYTES);
        await this.read(segment, bytes, done);
        await take(segment.first + done, bytes);
      }
    }
  }

  /** Closes the diffs. */
  [Symbol.dispose](): void {
    for (const diff of this.#diffs) diff[Symbol.dispose]();
  }
}
