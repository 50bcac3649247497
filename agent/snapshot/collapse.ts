/** Taking the chains of a snapshot into one diff and one layer above the golden snapshot's. */
import { join } from "node:path";
import { randomHex, runCommand } from "@wrenn/common";
import { GOLDEN_LAYERS } from "../core/snapshot_chain.ts";
import { DiffChain } from "./diff_chain.ts";
import type { SnapshotContent } from "./draft.ts";
import type { MemoryFile, Snapshot } from "./manifest.ts";
import { MemoryDiffWriter } from "./memory_diff.ts";

/** Writes the files of the same moment into a draft's folder and answers what is in it. */
export async function collapseInto(folder: string, from: Snapshot): Promise<SnapshotContent> {
  const { format: _, id: __, bytes: ___, digest: ____, state, memory, disk, ...facts } =
    from.manifest;
  await Deno.link(join(from.dir, state.file), join(folder, state.file));
  return {
    ...facts,
    state: state.file,
    memory: await mergeMemory(folder, from.dir, memory),
    disk: await mergeDisk(folder, from.dir, disk.map(({ file }) => file)),
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

/**
 * The newest layer, copied, with everything between it and the golden snapshot's taken in by `qemu-img rebase`, which
 * reads both chains and copies what differs.
 */
async function mergeDisk(
  folder: string,
  dir: string,
  layers: readonly string[],
): Promise<string[]> {
  for (const layer of layers) await Deno.link(join(dir, layer), join(folder, layer));
  const top = layers.at(-1);
  const golden = layers[GOLDEN_LAYERS - 1];
  if (top === undefined || golden === undefined || layers.length <= GOLDEN_LAYERS + 1) {
    return [...layers];
  }
  const merged = `layer-${randomHex(8)}.qcow2`;
  await runCommand(["cp", "--sparse=always", "--", join(folder, top), join(folder, merged)]);
  await Deno.chmod(join(folder, merged), 0o600);
  const rebase = 'cd "$1" && exec qemu-img rebase -f qcow2 -b "$2" -F qcow2 "$3"';
  await runCommand(["sh", "-euc", rebase, "sh", folder, golden, merged]);
  for (const layer of layers.slice(GOLDEN_LAYERS)) await Deno.remove(join(folder, layer));
  return [...layers.slice(0, GOLDEN_LAYERS), merged];
}
