/** Exception stores as files: making an empty one, reading what one has, mending one that the kernel has given up. */
import { join } from "node:path";
import {
  areaChunk,
  CHUNK_BYTES,
  CHUNKS_PER_AREA,
  type CowException,
  emptyStore,
  readArea,
  readCowHeader,
  VALID_OFFSET,
} from "../../core/dm_cow.ts";
import { writeAt, writeSparse } from "../disk_files.ts";

/** Writes an empty layer. What the kernel would write first is there, so that a full disk shows now. */
export async function writeCow(folder: string, name: string, bytes: number): Promise<void> {
  const parts = [{ at: 0, bytes: emptyStore() }];
  await writeSparse(join(folder, name), { length: bytes, parts, uid: 0 });
}

/** All exceptions of a layer that nobody writes. */
export async function readExceptions(file: Deno.FsFile): Promise<CowException[]> {
  readCowHeader(await readChunks(file, 0, 1));
  const found: CowException[] = [];
  for (let area = 0;; area++) {
    const exceptions = readArea(await readChunks(file, areaChunk(area), 1));
    found.push(...exceptions);
    if (exceptions.length < CHUNKS_PER_AREA) return found;
  }
}

/** Reads chunks of a layer. @throws {Error} When it ends before. */
export async function readChunks(
  file: Deno.FsFile,
  first: number,
  count: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count * CHUNK_BYTES);
  await file.seek(first * CHUNK_BYTES, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) {
    const read = await file.read(bytes.subarray(done));
    if (read === null) throw new Error("A layer is cut short");
    done += read;
  }
  return bytes;
}

/** True when the kernel takes the layer for whole. */
export async function isCowValid(path: string): Promise<boolean> {
  using file = await Deno.open(path);
  return readCowHeader(await readChunks(file, 0, 1));
}

/**
 * Makes a layer usable that the kernel has given up, which it does when it cannot write a chunk or its metadata. Every
 * write that it has confirmed is in the metadata by then, and the one that failed is not: the layer is as it was.
 */
export async function mendCow(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  readCowHeader(await readChunks(file, 0, 1));
  await writeAt(file, VALID_OFFSET, new Uint8Array([1, 0, 0, 0]));
}
