/**
 * Files of a disk: `base-{hash}.ext4` and layers `layer-{hex}.{kind}`. Names never repeat, so that a hard link keeps
 * its name in every folder.
 */
import { randomHex } from "@wrenn/common";
import { join } from "node:path";

const LAYER = /^layer-[0-9a-f]{16}\.(?:qcow2|cow)$/;
const BASE = /^base-[0-9a-f]{16}\.ext4$/;

/** A qcow2 image, or an exception store of device-mapper. */
export type LayerKind = "qcow2" | "cow";

/** A name for a new layer. */
export function newLayerName(kind: LayerKind): string {
  return `layer-${randomHex(8)}.${kind}`;
}

/** The name of a base image's link, from its content hash, which may be any text. */
export async function baseName(hash: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(hash));
  return `base-${new Uint8Array(digest).toHex().slice(0, 16)}.ext4`;
}

/** True for the name of a base image. */
export function isBase(name: string): boolean {
  return BASE.test(name);
}

/** True for the name of a layer. */
export function isLayer(name: string): boolean {
  return LAYER.test(name);
}

/** True for the name of a base image or of a layer. */
export function isDiskFile(name: string): boolean {
  return isLayer(name) || isBase(name);
}

/** Layers up to the named one, and those above it. @throws {Error} When it is none of them. */
export function splitAt(layers: readonly string[], layer: string): [string[], string[]] {
  const kept = layers.indexOf(layer) + 1;
  if (kept === 0) throw new Error(`The disk has no layer '${layer}'`);
  return [layers.slice(0, kept), layers.slice(kept)];
}

/** Links a template's image into a disk's folder. */
export async function linkBase(from: string, to: string): Promise<void> {
  try {
    await Deno.link(from, to);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EXDEV")) throw cause;
    throw new Error("Images, disks and snapshots must lie on one file system", { cause });
  }
}

/** Links files of one folder into another under their own names. */
export async function linkAll(names: readonly string[], from: string, to: string): Promise<void> {
  for (const name of names) await Deno.link(join(from, name), join(to, name));
}

/** Makes layers read-only and root's. A base is it already. */
export async function sealLayers(names: readonly string[], folder: string): Promise<void> {
  for (const name of names) {
    if (isBase(name)) continue;
    await Deno.chown(join(folder, name), 0, 0);
    await Deno.chmod(join(folder, name), 0o400);
  }
}

/** Lets a group read layers that are sealed. A base is everybody's. */
export async function openToGroup(
  names: readonly string[],
  folder: string,
  gid: number,
): Promise<void> {
  for (const name of names) {
    if (isBase(name)) continue;
    await Deno.chown(join(folder, name), 0, gid);
    await Deno.chmod(join(folder, name), 0o440);
  }
}

/**
 * Writes parts of a new file, mode 0600 and owned by `uid`; what lies between them is a hole. It has its name when it
 * is whole: an agent that dies in between, or a full disk, leaves no file of that name.
 */
export async function writeSparse(
  path: string,
  { length, parts, uid }: {
    length: number;
    parts: readonly { at: number; bytes: Uint8Array }[];
    uid: number;
  },
): Promise<void> {
  await writeWhole(path, async (file) => {
    for (const { at, bytes } of parts) await writeAt(file, at, bytes);
    await file.truncate(length);
  }, uid);
}

/** Writes a new file by `fill` as {@linkcode writeSparse} does. */
export async function writeWhole(
  path: string,
  fill: (file: Deno.FsFile) => Promise<void>,
  uid: number = 0,
): Promise<void> {
  const draft = path.replace(/[^/]+$/, ".new-$&");
  try {
    using file = await Deno.open(draft, { write: true, createNew: true, mode: 0o600 });
    await fill(file);
    await Deno.chown(draft, uid, uid);
    await Deno.rename(draft, path);
  } catch (error) {
    // It may not even have been made; the error above says why.
    await Deno.remove(draft).catch(() => {});
    throw error;
  }
}

/** Writes all bytes at an offset. */
export async function writeAt(file: Deno.FsFile, at: number, bytes: Uint8Array): Promise<void> {
  await file.seek(at, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}
