/** Guest memory as pages: runs of them, and what the kernel's page map says of a private file mapping. */

/** Bytes of a page. */
export const PAGE_BYTES = 4096;

/** Pages in a row. */
export interface PageRun {
  /** Index of the first page, from 0. */
  readonly first: number;
  /** At least 1. */
  readonly count: number;
}

/** High words of a page map's entry (Linux, admin-guide/mm/pagemap): bit 63, 62 and 61. */
const PRESENT = 0x80000000;
const SWAPPED = 0x40000000;
const FILE_OR_SHARED = 0x20000000;

/**
 * Pages of a private file mapping that are no longer the file's: the process has written to them. `entries` are the
 * 64-bit entries of /proc/pid/pagemap for the mapping, little endian.
 */
export function privatePages(entries: Uint8Array<ArrayBuffer>): PageRun[] {
  const words = new Uint32Array(entries.buffer, entries.byteOffset, entries.byteLength >> 2);
  const runs: PageRun[] = [];
  let first = -1;
  const pages = words.length >> 1;
  for (let page = 0; page < pages; page++) {
    const high = words[2 * page + 1] ?? 0;
    const written = (high & SWAPPED) !== 0 ||
      ((high & PRESENT) !== 0 && (high & FILE_OR_SHARED) === 0);
    if (written && first < 0) first = page;
    if (!written && first >= 0) {
      runs.push({ first, count: page - first });
      first = -1;
    }
  }
  if (first >= 0) runs.push({ first, count: pages - first });
  return runs;
}

/** How many pages the runs have. */
export function countPages(runs: readonly PageRun[]): number {
  return runs.reduce((sum, { count }) => sum + count, 0);
}
