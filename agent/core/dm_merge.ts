/** Which chunks of which layers make up one layer that holds the same. */
import { CHUNKS_PER_AREA, type CowException, dataChunk } from "./dm_cow.ts";

/** Chunks that lie side by side in a layer and go side by side into the new one. */
export interface MergeRun {
  /** Index of the layer that they come from. */
  readonly layer: number;
  /** First chunk there. */
  readonly from: number;
  /** First chunk in the new layer. */
  readonly to: number;
  /** How many. */
  readonly chunks: number;
}

/** A new layer: per area its metadata, and what is copied. */
export interface MergePlan {
  readonly areas: readonly (readonly CowException[])[];
  readonly runs: readonly MergeRun[];
}

/** Plans the union of layers, given the lowest first: of a chunk that several have, the highest one's counts. */
export function planMerge(layers: readonly (readonly CowException[])[]): MergePlan {
  const newest = new Map<number, { layer: number; store: number }>();
  for (const [layer, exceptions] of layers.entries()) {
    for (const { disk, store } of exceptions) newest.set(disk, { layer, store });
  }
  const areas: CowException[][] = [];
  const runs: MergeRun[] = [];
  const chunks = [...newest].sort(([a], [b]) => a - b);
  for (const [i, [disk, { layer, store: from }]] of chunks.entries()) {
    const to = dataChunk(i);
    if (i % CHUNKS_PER_AREA === 0) areas.push([]);
    areas.at(-1)?.push({ disk, store: to });
    const last = runs.at(-1);
    const goesOn = last?.layer === layer && last.from + last.chunks === from &&
      last.to + last.chunks === to;
    if (last && goesOn) runs[runs.length - 1] = { ...last, chunks: last.chunks + 1 };
    else runs.push({ layer, from, to, chunks: 1 });
  }
  return { areas, runs };
}
