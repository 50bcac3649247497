/** The pages of a machine that the chain below it does not have as they are now, as a new diff. */
import { randomHex } from "@wrenn/common";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { PAGE_BYTES, type PageRun } from "../core/memory_pages.ts";
import type { GuestMemory } from "../vmm/driver.ts";
import { DiffChain } from "./diff_chain.ts";
import type { MemoryFile } from "./manifest.ts";
import { MemoryDiffWriter } from "./memory_diff.ts";

/** What is compared, and where the diff goes. */
export interface ChangedPages {
  /** Pages that may differ from the memory base, ascending. */
  readonly candidates: readonly PageRun[];
  readonly guest: Pick<GuestMemory, "read">;
  /** Diffs over the base, oldest first. */
  readonly below: readonly string[];
  readonly folder: string;
}

const PIECE_PAGES = 512;

/**
 * Writes the diff. A page that the chain holds with the same content is left out; one that it does not hold is the
 * guest's own since its base. Undefined when nothing has changed.
 */
export async function writeChangedPages(
  { candidates, guest, below, folder }: ChangedPages,
): Promise<MemoryFile | undefined> {
  using chain = await DiffChain.open(below);
  const file = `memory-${randomHex(8)}.diff`;
  using writer = await MemoryDiffWriter.create(join(folder, file));
  const buffer = new Uint8Array(PIECE_PAGES * PAGE_BYTES);
  for (const piece of pieces(candidates)) {
    if (chain.within(piece).length === 0) {
      await writer.fill(piece, (page, into) => guest.read(page, into));
      continue;
    }
    const now = buffer.subarray(0, piece.count * PAGE_BYTES);
    guest.read(piece.first, now);
    const same = await unchanged(chain, piece, now);
    for (const { first, count } of runsWithout(same, piece.count)) {
      const bytes = now.subarray(first * PAGE_BYTES, (first + count) * PAGE_BYTES);
      await writer.write(piece.first + first, bytes);
    }
  }
  const { bytes, pages, digest } = await writer.finish();
  if (pages > 0) return { file, bytes, digest, kind: "diff", pages };
  await Deno.remove(join(folder, file));
  return undefined;
}

/** Which pages of a piece, counted from its first, the chain has with the same content. */
async function unchanged(
  chain: DiffChain,
  piece: PageRun,
  now: Uint8Array<ArrayBuffer>,
): Promise<Set<number>> {
  const same = new Set<number>();
  for (const segment of chain.within(piece)) {
    const before = new Uint8Array(segment.count * PAGE_BYTES);
    await chain.read(segment, before);
    const offset = segment.first - piece.first;
    for (let page = 0; page < segment.count; page++) {
      const at = (offset + page) * PAGE_BYTES;
      const [old, present] = [
        before.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES),
        now.subarray(at, at + PAGE_BYTES),
      ];
      if (Buffer.compare(old, present) === 0) same.add(offset + page);
    }
  }
  return same;
}

/** Runs of the pages 0 to `count` that are not in a set. */
function* runsWithout(left: ReadonlySet<number>, count: number): Generator<PageRun> {
  for (let first = 0; first < count;) {
    if (left.has(first)) {
      first++;
      continue;
    }
    let end = first + 1;
    while (end < count && !left.has(end)) end++;
    yield { first, count: end - first };
    first = end;
  }
}

function* pieces(runs: readonly PageRun[]): Generator<PageRun> {
  for (const { first, count } of runs) {
    for (let done = 0; done < count; done += PIECE_PAGES) {
      yield { first: first + done, count: Math.min(PIECE_PAGES, count - done) };
    }
  }
}
