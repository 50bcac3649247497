/** Taking the chains of a snapshot into one diff and one layer above the golden snapshot's. */
import { join } from "node:path";
import { randomHex } from "@wrenn/common";
import { GOLDEN_LAYERS } from "../core/snapshot_chain.ts";
import type { RootfsStore } from "../rootfs/store.ts";
import { DiffChain } from "./diff_chain.ts";
import type { SnapshotContent } from "./draft.ts";
import type { MemoryFile, Snapshot } from "./manifest.ts";
import { MemoryDiffWriter } from "./memory_diff.ts";

/** Who knows the format of layers. */
export type LayerMerger = Pick<RootfsStore, "mergeLayers">;

/** Writes the files of the same moment into a draft's folder and answers what is in it. */
export async function collapseInto(
  folder: string,
  from: Snapshot,
  store: LayerMerger,
): Promise<SnapshotContent> {
  const { format: _, id: __, bytes: ___, digest: ____, state, memory, disk: _____, ...facts } =
    from.manifest;
  await Deno.link(join(from.dir, state.file), join(folder, state.file));
  return {
    ...facts,
    state: state.file,
    memory: await mergeMemory(folder, from.dir, memory),
    disk: await mergeDisk(folder, from, store),
  };
}

async function mergeMemory(
  folder: string,
  dir: string,
  memory: readonly MemoryFile[],
): Promise<MemoryFile[]> {
  const [base, ...diffs] = memory;
  if (base === undefined) throw new Error("A snapshot without memory");
  await Deno.link(join(dir, base.file), join(folder, base.file));
  if (diffs.length === 0) return [base];
  using chain = await DiffChain.open(diffs.map(({ file }) => join(dir, file)));
  const file = `memory-${randomHex(8)}.diff`;
  using writer = await MemoryDiffWriter.create(join(folder, file));
  await chain.forEach((first, bytes) => writer.write(first, bytes));
  return [base, { file, kind: "diff", ...await writer.finish() }];
}

/** The disk's layers, with those above the golden snapshot's taken into one. */
async function mergeDisk(
  folder: string,
  { dir, manifest }: Snapshot,
  store: LayerMerger,
): Promise<readonly string[]> {
  const layers = manifest.disk.map(({ file }) => file);
  for (const layer of layers) await Deno.link(join(dir, layer), join(folder, layer));
  const golden = layers[GOLDEN_LAYERS - 1];
  if (golden === undefined) return layers;
  return (await store.mergeLayers({ folder, layers, sizeMb: manifest.disk_mb }, golden)).layers;
}
