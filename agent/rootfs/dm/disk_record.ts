/** `disk.json` in a disk's folder: what device-mapper does not remember over a reboot. */
import { join } from "node:path";
import { z } from "zod";
import { isBase, isLayer, writeAt, writeWhole } from "../disk_files.ts";

const FILE = "disk.json";

const schema = z.object({
  device: z.string().regex(/^[0-9a-f]{16}$/),
  size_mb: z.int().min(1),
  layers: z.array(z.string()).min(2).refine(([base = "", ...rest]) =>
    isBase(base) && rest.every(isLayer)
  ),
});

/** A disk as its folder has it. */
export interface DiskRecord {
  /** Part of the name of its writable device, the same as long as the disk lives. */
  readonly device: string;
  /** Virtual size, MiB. */
  readonly sizeMb: number;
  /** The base first, the writable layer last. An empty layer may be in it that is not in force yet. */
  readonly layers: readonly string[];
}

/** Reads a disk's record; undefined when it has none, as it was never finished. @throws {Error} When it is damaged. */
export async function readRecord(folder: string): Promise<DiskRecord | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(join(folder, FILE));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    const { device, size_mb: sizeMb, layers } = schema.parse(JSON.parse(text));
    return { device, sizeMb, layers };
  } catch (cause) {
    throw new Error(`The record of a disk is damaged: '${folder}'`, { cause });
  }
}

/** The record of a disk that was finished. @throws {Error} When there is none. */
export async function recordIn(folder: string): Promise<DiskRecord> {
  const record = await readRecord(folder);
  if (record === undefined) throw new Error(`The disk was never finished: '${folder}'`);
  return record;
}

/** Writes a disk's record in one step. */
export async function writeRecord(folder: string, record: DiskRecord): Promise<void> {
  const { device, sizeMb, layers } = record;
  const text = JSON.stringify({ device, size_mb: sizeMb, layers });
  await writeWhole(join(folder, FILE), async (file) => {
    await writeAt(file, 0, new TextEncoder().encode(text));
  });
}

/** Removes a layer that did not come into force. While the record names it the disk needs it. */
export async function removeUnnamed(folder: string, layer: string): Promise<void> {
  const record = await readRecord(folder);
  // It may not even have been made.
  if (!record?.layers.includes(layer)) await Deno.remove(join(folder, layer)).catch(() => {});
}

/** Removes layers that are none of the disk's, and what was half written. */
export async function removeOtherLayers(folder: string, layers: readonly string[]): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    const stray = isLayer(name) && !layers.includes(name) || name.startsWith(".new-");
    if (stray) await Deno.remove(join(folder, name));
  }
}
