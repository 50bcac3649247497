/** A naive model of guest memory for tests: a page is one byte, repeated. */
import fc from "fast-check";
import { PAGE_BYTES } from "../../core/memory_pages.ts";
import type { GuestMemory } from "../../vmm/driver.ts";
import { MemoryDiffWriter } from "../memory_diff.ts";

/** Pages of a diff and what fills them, ascending. */
export type ModelDiff = ReadonlyMap<number, number>;

/** A page full of one byte. */
export function pageOf(fill: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(PAGE_BYTES).fill(fill);
}

/** Any diff of a guest of so many pages, with pages beside each other and apart. */
export function modelDiff(pages: number): fc.Arbitrary<ModelDiff> {
  const run = fc.tuple(fc.nat(pages - 1), fc.integer({ min: 1, max: 6 }), fc.nat(255));
  return fc.array(run, { maxLength: 12 }).map((runs) => {
    const found = new Map<number, number>();
    for (const [first, count, fill] of runs) {
      for (let page = first; page < Math.min(pages, first + count); page++) found.set(page, fill);
    }
    return new Map([...found].sort(([a], [b]) => a - b));
  });
}

/** Writes a diff to a new file. Answers its digest. */
export async function writeModelDiff(path: string, diff: ModelDiff): Promise<string> {
  using writer = await MemoryDiffWriter.create(path);
  for (const [page, fill] of diff) await writer.write(page, pageOf(fill));
  return (await writer.finish()).digest;
}

/** A guest's memory in this process. */
export class ModelMemory implements GuestMemory {
  readonly pages: number;
  /** All of it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How often each page was written. */
  readonly writes: Map<number, number> = new Map();

  constructor(pages: number) {
    this.pages = pages;
    this.bytes = new Uint8Array(pages * PAGE_BYTES);
  }

  /** Sets pages, as the guest itself does. */
  apply(diff: ModelDiff): void {
    for (const [page, fill] of diff) {
      this.bytes.fill(fill, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    }
  }

  /** {@inheritDoc GuestMemory.read} */
  read(page: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    into.set(this.bytes.subarray(page * PAGE_BYTES, page * PAGE_BYTES + into.length));
    return Promise.resolve();
  }

  /** {@inheritDoc GuestMemory.write} */
  write(page: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.bytes.set(bytes, page * PAGE_BYTES);
    for (let i = page; i < page + bytes.length / PAGE_BYTES; i++) {
      this.writes.set(i, (this.writes.get(i) ?? 0) + 1);
    }
    return Promise.resolve();
  }

  [Symbol.dispose](): void {}
}

/** Gives files of diffs, oldest first, to `work` and removes them. */
export async function withDiffs(
  diffs: readonly ModelDiff[],
  work: (paths: string[], folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-chain-" });
  try {
    const paths = diffs.map((_, i) => `${folder}/memory-${i}.diff`);
    for (const [i, path] of paths.entries()) await writeModelDiff(path, diffs[i] ?? new Map());
    await work(paths, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
