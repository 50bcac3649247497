/** How long the chains of a snapshot's files may become. */
import type { SnapshotManifest } from "../snapshot/manifest.ts";

/** Diffs, and layers of its own, above the golden snapshot before they are taken into one. */
export const MAX_CHAIN = 8;
/** Files of a disk that belong to the golden snapshot: the image and one layer. */
export const GOLDEN_LAYERS = 2;

/** True when a snapshot's chains are to be collapsed. */
export function needsCollapse(
  { memory, disk }: Pick<SnapshotManifest, "memory" | "disk">,
): boolean {
  const diffs = memory.filter(({ kind }) => kind === "diff").length;
  return diffs > MAX_CHAIN || disk.length - GOLDEN_LAYERS > MAX_CHAIN;
}
