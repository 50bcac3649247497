/**
 * The folder of one disk: `base-{hash}.ext4`, then layers `layer-{hex}.qcow2`, each naming the one below it by its
 * plain name. Names never repeat, so a hard link to a layer finds what is below it in every folder that has both.
 */
import { join } from "node:path";
import { isBase, isLayer, writeSparse } from "./disk_files.ts";
import { QCOW2_HEAD_BYTES, type Qcow2Info, qcow2Overlay, readQcow2 } from "./qcow2_header.ts";
import type { BlockDevice } from "./store.ts";

const MIB = 1024 * 1024;
/** Chains are kept short; a longer one is a loop. */
const MAX_LAYERS = 64;

/**
 * Writes an empty layer of `sizeMb` over a file of the same folder. Mode 0600, owned by `uid`. It has its name when it
 * is whole: an agent that dies in between, or a full disk, leaves no layer.
 */
export async function writeLayer(
  folder: string,
  name: string,
  below: string,
  { sizeMb, uid }: { sizeMb: number; uid: number },
): Promise<void> {
  const content = qcow2Overlay(sizeMb * MIB, below, isBase(below) ? "raw" : "qcow2");
  await writeSparse(join(folder, name), { ...content, uid });
}

/** Reads what a layer says of itself. @throws {Error} When it is damaged. */
export async function readLayer(path: string): Promise<Qcow2Info> {
  using file = await Deno.open(path);
  const head = new Uint8Array(QCOW2_HEAD_BYTES);
  let length = 0;
  for (let n = await file.read(head); n !== null && length < head.length;) {
    length += n;
    n = await file.read(head.subarray(length));
  }
  return readQcow2(head.subarray(0, length));
}

/**
 * The disk that a folder holds: from the layer that no other names down to the base.
 *
 * @throws {Error} When the folder holds no whole chain, or several.
 */
export async function readDisk(folder: string): Promise<BlockDevice> {
  const infos = new Map<string, Qcow2Info>();
  for await (const { name } of Deno.readDir(folder)) {
    if (isLayer(name)) infos.set(name, await readLayer(join(folder, name)));
  }
  const below = new Set([...infos.values()].map(({ backing }) => backing));
  const tops = [...infos.keys()].filter((name) => !below.has(name));
  const [top] = tops;
  if (top === undefined || tops.length > 1) throw new Error(`'${folder}' holds no single disk`);
  const layers = [top];
  for (let name = top; !isBase(name);) {
    const info = infos.get(name);
    if (info === undefined) throw new Error(`'${folder}' has no layer '${name}'`);
    if (!info.backing) throw new Error(`'${folder}' has nothing below '${name}'`);
    name = info.backing;
    layers.unshift(name);
    if (layers.length > MAX_LAYERS) throw new Error(`The layers in '${folder}' form a loop`);
  }
  await Deno.stat(join(folder, layers[0] ?? ""));
  return {
    path: join(folder, top),
    format: "qcow2",
    sizeMb: Math.ceil((infos.get(top)?.size ?? 0) / MIB),
    folder,
    layers,
  };
}
