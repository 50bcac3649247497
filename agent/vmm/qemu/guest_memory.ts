/** The guest's memory inside a QEMU process: found by the file that it maps, read and written by /proc. */
import { PAGE_BYTES, type PageRun, privatePages } from "../../core/memory_pages.ts";
import type { GuestMemory } from "../driver.ts";

/** Where a process has mapped a file. */
export interface MemoryRegion {
  readonly pid: number;
  /** Virtual address of the first byte. */
  readonly start: number;
  readonly bytes: number;
}

/**
 * Finds the mapping of a file, by its inode: the file may have another name by now, or none.
 *
 * @throws {Error} When the process does not map it as a whole, in one piece.
 */
export async function findRegion(
  pid: number,
  inode: number,
  bytes: number,
): Promise<MemoryRegion> {
  for (const line of (await Deno.readTextFile(`/proc/${pid}/maps`)).split("\n")) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ (\d+)/.exec(line);
    if (!match || Number(match[4]) !== inode) continue;
    const [start, end] = [parseInt(match[1] ?? "", 16), parseInt(match[2] ?? "", 16)];
    if (parseInt(match[3] ?? "", 16) === 0 && end - start >= bytes) return { pid, start, bytes };
  }
  throw new Error(`Process ${pid} does not map inode ${inode} with ${bytes} bytes`);
}

/** Pages of a private mapping that the process has written to. */
export async function writtenPages({ pid, start, bytes }: MemoryRegion): Promise<PageRun[]> {
  using file = await Deno.open(`/proc/${pid}/pagemap`);
  const entries = new Uint8Array(bytes / PAGE_BYTES * 8);
  await file.seek(start / PAGE_BYTES * 8, Deno.SeekMode.Start);
  for (let at = 0; at < entries.length;) {
    const n = await file.read(entries.subarray(at));
    if (n === null) throw new Error(`The page map of process ${pid} ends early`);
    at += n;
  }
  return privatePages(entries);
}

/**
 * Opens the memory for reading and writing. Both are copies within memory, mostly of single pages: they are done at
 * once, since a thread for each would take ten times as long.
 */
export async function openMemory({ pid, start, bytes }: MemoryRegion): Promise<GuestMemory> {
  const file = await Deno.open(`/proc/${pid}/mem`, { read: true, write: true });
  const pages = bytes / PAGE_BYTES;
  const seek = (page: number, length: number): void => {
    if (page < 0 || length % PAGE_BYTES !== 0 || page + length / PAGE_BYTES > pages) {
      throw new RangeError(`No pages in this guest: ${length} bytes from page ${page} on`);
    }
    file.seekSync(start + page * PAGE_BYTES, Deno.SeekMode.Start);
  };
  return {
    pages,
    read: (page, into) => {
      seek(page, into.length);
      for (let at = 0; at < into.length;) {
        const n = file.readSync(into.subarray(at));
        if (n === null) throw new Error(`The memory of process ${pid} ends early`);
        at += n;
      }
    },
    write: (page, from) => {
      seek(page, from.length);
      for (let at = 0; at < from.length;) at += file.writeSync(from.subarray(at));
    },
    [Symbol.dispose]: () => file.close(),
  };
}
