/** Taking frozen layers into one, by their files alone. */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { areaChunk, CHUNK_BYTES, emptyStore, storeBytes, writeArea } from "../../core/dm_cow.ts";
import { type MergeRun, planMerge } from "../../core/dm_merge.ts";
import { writeAt, writeWhole } from "../disk_files.ts";
import { readChunks, readExceptions } from "./cow_file.ts";

const ZEROS = new Uint8Array(CHUNK_BYTES);

/**
 * Writes a new layer that holds what several hold together, given the lowest first. Chunks of zeros become holes. Only
 * reads the others, which disks may be using.
 */
export async function mergeLayers(
  folder: string,
  layers: readonly string[],
  name: string,
): Promise<void> {
  using open = new DisposableStack();
  const files: Deno.FsFile[] = [];
  for (const layer of layers) files.push(open.use(await Deno.open(join(folder, layer))));
  const exceptions = [];
  for (const file of files) exceptions.push(await readExceptions(file));
  const { areas, runs } = planMerge(exceptions);
  const count = areas.reduce((sum, area) => sum + area.length, 0);
  await writeWhole(join(folder, name), async (target) => {
    await writeAt(target, 0, emptyStore());
    for (const [i, area] of areas.entries()) {
      await writeAt(target, areaChunk(i) * CHUNK_BYTES, writeArea(area));
    }
    for (const run of runs) await copy(files[run.layer], target, run);
    await target.truncate(storeBytes(count));
  });
}

async function copy(
  from: Deno.FsFile | undefined,
  target: Deno.FsFile,
  run: MergeRun,
): Promise<void> {
  if (from === undefined) throw new Error("A run of no layer");
  const bytes = await readChunks(from, run.from, run.chunks);
  for (const { at, length } of dataIn(bytes)) {
    await writeAt(target, run.to * CHUNK_BYTES + at, bytes.subarray(at, at + length));
  }
}

/** Where chunks lie that are not all zeros, side by side ones together. */
function dataIn(bytes: Uint8Array<ArrayBuffer>): { at: number; length: number }[] {
  const found: { at: number; length: number }[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    if (Buffer.compare(bytes.subarray(at, at + CHUNK_BYTES), ZEROS) === 0) continue;
    const last = found.at(-1);
    if (last && last.at + last.length === at) last.length += CHUNK_BYTES;
    else found.push({ at, length: CHUNK_BYTES });
  }
  return found;
}
