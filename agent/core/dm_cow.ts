/**
 * The file of a persistent dm-snapshot exception store: a header chunk, then areas, each of one chunk of metadata and
 * the chunks of data that it tells of. All numbers are little-endian (drivers/md/dm-snap-persistent.c).
 */

/** Sectors of a chunk, as tables name it. */
export const CHUNK_SECTORS = 8;
/** Bytes of a chunk: the unit that is copied. */
export const CHUNK_BYTES: number = CHUNK_SECTORS * 512;
/** Chunks of data in an area. */
export const CHUNKS_PER_AREA = 256;
/** Where the header says whether the store may be used: 4 bytes, 1 or 0. */
export const VALID_OFFSET = 4;

const MIB = 1024 * 1024;
const ENTRY_BYTES = 16;
const HEADER_CHUNKS = 1;
const MAGIC = 0x70416e53;
const VERSION = 1;

/** A chunk of the disk that the store has. */
export interface CowException {
  /** Number of the chunk on the disk. */
  readonly disk: number;
  /** Number of the chunk in the store. */
  readonly store: number;
}

/** Chunk of an area's metadata. */
export function areaChunk(area: number): number {
  return HEADER_CHUNKS + area * (CHUNKS_PER_AREA + 1);
}

/** Chunk of the data of a store's nth exception, counted from 0, where none was left out. */
export function dataChunk(index: number): number {
  return areaChunk(Math.floor(index / CHUNKS_PER_AREA)) + 1 + index % CHUNKS_PER_AREA;
}

/**
 * Bytes of a store with room for so many exceptions. Behind the last area lies one more chunk: the kernel clears the
 * next area's metadata when one is full, and gives the store up when it cannot.
 */
export function storeBytes(exceptions: number): number {
  const areas = Math.max(1, Math.ceil(exceptions / CHUNKS_PER_AREA));
  return (areaChunk(areas) + 1) * CHUNK_BYTES;
}

/** Bytes of a store that never fills up: it has room for every chunk of the disk. */
export function wholeStoreBytes(sizeMb: number): number {
  return storeBytes(sizeMb * MIB / CHUNK_BYTES);
}

/**
 * Bytes of the largest store within `limitMb`.
 *
 * @throws {RangeError} When that is too little for one area: less than 2 MiB.
 */
export function storeBytesWithin(limitMb: number): number {
  const chunks = Math.floor(limitMb * MIB / CHUNK_BYTES);
  const areas = Math.floor((chunks - HEADER_CHUNKS - 1) / (CHUNKS_PER_AREA + 1));
  if (!(areas >= 1)) throw new RangeError(`Not enough for a copy-on-write file: ${limitMb} MiB`);
  return (areaChunk(areas) + 1) * CHUNK_BYTES;
}

/** Header and first area of an empty store: the kernel writes nothing when it opens it. */
export function emptyStore(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(2 * CHUNK_BYTES);
  const view = new DataView(bytes.buffer);
  [MAGIC, 1, VERSION, CHUNK_SECTORS].forEach((value, i) => view.setUint32(i * 4, value, true));
  return bytes;
}

/**
 * Reads a header; true when the kernel takes the store for whole.
 *
 * @throws {Error} When it is no store, or not one of our chunk size.
 */
export function readCowHeader(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < 16 || view.getUint32(0, true) !== MAGIC) {
    throw new Error("Not an exception store");
  }
  const [version, chunk] = [view.getUint32(8, true), view.getUint32(12, true)];
  if (version !== VERSION || chunk !== CHUNK_SECTORS) {
    throw new Error(`Not an exception store of ours: version ${version}, chunk ${chunk}`);
  }
  return view.getUint32(VALID_OFFSET, true) !== 0;
}

/** Exceptions of an area's metadata. Fewer than {@linkcode CHUNKS_PER_AREA}: it is the last one. */
export function readArea(bytes: Uint8Array): CowException[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, CHUNK_BYTES);
  const found: CowException[] = [];
  for (let at = 0; at < CHUNK_BYTES; at += ENTRY_BYTES) {
    const store = Number(view.getBigUint64(at + 8, true));
    if (store === 0) break;
    found.push({ disk: Number(view.getBigUint64(at, true)), store });
  }
  return found;
}

/** An area's metadata. @throws {RangeError} For more exceptions than fit. */
export function writeArea(exceptions: readonly CowException[]): Uint8Array<ArrayBuffer> {
  if (exceptions.length > CHUNKS_PER_AREA) throw new RangeError("Too many exceptions for an area");
  const bytes = new Uint8Array(CHUNK_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, { disk, store }] of exceptions.entries()) {
    view.setBigUint64(i * ENTRY_BYTES, BigInt(disk), true);
    view.setBigUint64(i * ENTRY_BYTES + 8, BigInt(store), true);
  }
  return bytes;
}
