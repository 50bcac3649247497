/** Which diff of a chain holds which page: the newest one wins. */
import type { PageRun } from "./memory_pages.ts";

/** Pages in a row of one diff that no later diff has replaced. */
export interface ChainSegment extends PageRun {
  /** Index of the diff in the chain, oldest first. */
  readonly diff: number;
  /** Where its pages begin in that diff, counted in pages of its data. */
  readonly at: number;
}

/**
 * Lays the diffs of a chain over one another.
 *
 * @param diffs Runs of each diff, oldest first; within a diff ascending, without overlap, data in the same order.
 * @returns Segments in ascending order, without overlap, that cover exactly the pages of all diffs.
 */
export function planChain(diffs: readonly (readonly PageRun[])[]): ChainSegment[] {
  let chain: ChainSegment[] = [];
  diffs.forEach((runs, diff) => {
    let at = 0;
    const layer = runs.map(({ first, count }) => {
      const segment = { first, count, diff, at };
      at += count;
      return segment;
    });
    chain = over(layer, chain);
  });
  return chain;
}

/** The segments that overlap pages `first` to `first + count`, in order. */
export function overlapping(
  chain: readonly ChainSegment[],
  { first, count }: PageRun,
): ChainSegment[] {
  const found: ChainSegment[] = [];
  for (let i = firstAfter(chain, first); i < chain.length; i++) {
    const segment = chain[i];
    if (segment === undefined || segment.first >= first + count) break;
    found.push(cut(segment, Math.max(first, segment.first), first + count));
  }
  return found;
}

/** `top` in full, and of `below` what lies between. Both ascending and without overlap in themselves. */
function over(top: readonly ChainSegment[], below: readonly ChainSegment[]): ChainSegment[] {
  const merged: ChainSegment[] = [];
  let b = 0;
  let from = 0;
  const takeBelow = (until: number): void => {
    for (
      let segment = below[b];
      segment !== undefined && segment.first < until;
      segment = below[b]
    ) {
      const end = segment.first + segment.count;
      const part = cut(segment, Math.max(segment.first, from), until);
      if (part.count > 0) merged.push(part);
      if (end > until) return;
      b++;
    }
  };
  for (const segment of top) {
    takeBelow(segment.first);
    merged.push(segment);
    from = segment.first + segment.count;
    for (let s = below[b]; s !== undefined && s.first + s.count <= from; s = below[b]) b++;
  }
  takeBelow(Infinity);
  return merged;
}

/** The part of a segment within `from` and `until`. */
function cut(segment: ChainSegment, from: number, until: number): ChainSegment {
  const first = Math.max(segment.first, from);
  const end = Math.min(segment.first + segment.count, until);
  return {
    first,
    count: Math.max(0, end - first),
    diff: segment.diff,
    at: segment.at + first - segment.first,
  };
}

/** Index of the first segment that ends after `page`. */
function firstAfter(chain: readonly ChainSegment[], page: number): number {
  let [low, high] = [0, chain.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const segment = chain[middle];
    if (segment !== undefined && segment.first + segment.count <= page) low = middle + 1;
    else high = middle;
  }
  return low;
}
