/**
 * The memory of a machine under Firecracker as files: a base that is never written, and over it a sparse file of the
 * same size that holds the pages written since, each at its place. Where that one has data is what was written.
 */
import { runCommand } from "@wrenn/common";
import { PAGE_BYTES, type PageRun } from "../../core/memory_pages.ts";
import type { GuestMemory } from "../driver.ts";
import { removeFile } from "../run_files.ts";
import { dataExtents } from "./libc_files.ts";

/** Where a file of whole pages has any. */
export function pagesWithData(path: string): PageRun[] {
  const runs: { first: number; count: number }[] = [];
  for (const { from, to } of dataExtents(path)) {
    const last = runs.at(-1);
    const end = last === undefined ? 0 : last.first + last.count;
    // A file system with blocks below a page may tell of a page in parts.
    const first = Math.max(end, Math.floor(from / PAGE_BYTES));
    const count = Math.ceil(to / PAGE_BYTES) - first;
    if (count <= 0) continue;
    if (last !== undefined && first === end) last.count += count;
    else runs.push({ first, count });
  }
  return runs;
}

/**
 * Checks that a folder's file system tells holes page by page: one with larger blocks would pass zeros off as pages
 * that were written.
 *
 * @throws {Error}
 */
export async function checkHoles(folder: string): Promise<void> {
  const path = `${folder}/holes-${crypto.randomUUID()}`;
  try {
    {
      using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
      await file.truncate(64 * PAGE_BYTES);
      for (const page of [3, 40]) {
        await file.seek(page * PAGE_BYTES, Deno.SeekMode.Start);
        await file.write(new Uint8Array(PAGE_BYTES).fill(page));
      }
      await file.sync();
    }
    const seen = JSON.stringify(pagesWithData(path));
    const expected = JSON.stringify([{ first: 3, count: 1 }, { first: 40, count: 1 }]);
    if (seen !== expected) {
      throw new Error(
        `The file system of '${folder}' does not tell which pages of a file are holes`,
      );
    }
  } finally {
    await removeFile(path);
  }
}

/** A copy with the same holes, by reference where the file system can. @throws {CommandError} */
export async function copySparse(from: string, to: string): Promise<void> {
  await runCommand(["cp", "--reflink=auto", "--sparse=auto", "--", from, to]);
}

/** Gives the zeros of a file back to the file system. @throws {CommandError} */
export async function digHoles(path: string): Promise<void> {
  await runCommand(["fallocate", "--dig-holes", path]);
}

/**
 * The memory of a machine that stands still, for reading.
 *
 * @param written Undefined for a machine that was booted: its base has everything.
 */
export function layeredMemory(base: string, written: string | undefined): GuestMemory {
  const below = Deno.openSync(base);
  const above = written === undefined ? undefined : Deno.openSync(written);
  const runs = written === undefined ? [] : pagesWithData(written);
  const pages = Math.floor(below.statSync().size / PAGE_BYTES);
  return {
    pages,
    read: (page, into) => {
      const end = page + pagesOf(page, into.length, pages);
      for (let at = page; at < end;) {
        const run = runs[firstEndingAfter(runs, at)];
        const own = run !== undefined && run.first <= at;
        const to = Math.min(end, own ? run.first + run.count : run?.first ?? end);
        const part = into.subarray((at - page) * PAGE_BYTES, (to - page) * PAGE_BYTES);
        readAt(own && above ? above : below, at * PAGE_BYTES, part);
        at = to;
      }
    },
    write: () => {
      throw new Error("The memory of a machine under Firecracker is written before it is loaded");
    },
    [Symbol.dispose]: () => {
      below.close();
      above?.close();
    },
  };
}

/**
 * A copy of the base before it is loaded: what is written to it is noted as written over the base, too.
 *
 * @param copy A file of the whole memory. @param written A sparse file of the same size.
 */
export function filledMemory(copy: string, written: string): GuestMemory {
  const whole = Deno.openSync(copy, { read: true, write: true });
  const over = Deno.openSync(written, { write: true });
  const pages = Math.floor(whole.statSync().size / PAGE_BYTES);
  return {
    pages,
    read: (page, into) => {
      pagesOf(page, into.length, pages);
      readAt(whole, page * PAGE_BYTES, into);
    },
    write: (page, bytes) => {
      pagesOf(page, bytes.length, pages);
      for (const file of [whole, over]) {
        file.seekSync(page * PAGE_BYTES, Deno.SeekMode.Start);
        for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      }
    },
    [Symbol.dispose]: () => {
      whole.close();
      over.close();
    },
  };
}

function pagesOf(page: number, bytes: number, pages: number): number {
  const count = bytes / PAGE_BYTES;
  if (page < 0 || !Number.isInteger(page) || !Number.isInteger(count) || page + count > pages) {
    throw new RangeError(`No pages in this guest: ${bytes} bytes from page ${page} on`);
  }
  return count;
}

/** Index of the first run that ends after a page; the number of runs when there is none. */
function firstEndingAfter(runs: readonly PageRun[], page: number): number {
  let [low, high] = [0, runs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const run = runs[middle];
    if (run !== undefined && run.first + run.count <= page) low = middle + 1;
    else high = middle;
  }
  return low;
}

function readAt(file: Deno.FsFile, offset: number, into: Uint8Array): void {
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < into.length;) {
    const n = file.readSync(into.subarray(at));
    if (n === null) throw new Error("A memory file ends early");
    at += n;
  }
}
