/**
 * An empty qcow2 overlay, as `qemu-img create -b base -F raw` makes it, without a process for it.
 *
 * Layout after QEMU's docs/interop/qcow2.txt, version 3, clusters of 64 KiB: header, refcount table, one
 * refcount block, L1 table. Everything else is zero, which in a fresh file costs no space.
 */

const CLUSTER_BITS = 16;
const CLUSTER = 1 << CLUSTER_BITS;
const HEADER_LENGTH = 112;
const BACKING_FORMAT = 0xe2792aca;
const MAX_NAME_BYTES = 1023;
/** What one cluster of L1 table covers: 8192 L2 tables of 512 MiB each. */
const MAX_SIZE = 2 ** 42;

/** Bytes of a file and where they go. */
export interface FilePart {
  /** Offset in the file. */
  readonly at: number;
  /** Content. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A file given by its length and the parts that are not zero. */
export interface SparseFile {
  /** Length in bytes. */
  readonly length: number;
  /** Non-zero parts, in ascending order. */
  readonly parts: readonly FilePart[];
}

/**
 * An empty overlay.
 *
 * @param size Virtual size in bytes: a multiple of 512, at most 4 TiB.
 * @param backing Path of the base; a relative one starts from the overlay's folder.
 * @throws {RangeError} For a size or path that the format cannot hold.
 */
export function qcow2Overlay(
  size: number,
  backing: string,
  backingFormat: "raw" | "qcow2" = "raw",
): SparseFile {
  const name = new TextEncoder().encode(backing);
  if (!Number.isSafeInteger(size) || size <= 0 || size % 512 !== 0 || size > MAX_SIZE) {
    throw new RangeError(`Wrong size of a qcow2 image: '${size}'`);
  }
  if (name.length === 0 || name.length > MAX_NAME_BYTES) {
    throw new RangeError("Path of a base image must have 1 to 1023 bytes");
  }
  const format = extension(BACKING_FORMAT, new TextEncoder().encode(backingFormat));
  const end = extension(0, new Uint8Array(0));
  const nameAt = HEADER_LENGTH + format.length + end.length;
  const header = new Uint8Array(nameAt + name.length);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x514649fb); // "QFI\xfb"
  view.setUint32(4, 3);
  view.setBigUint64(8, BigInt(nameAt));
  view.setUint32(16, name.length);
  view.setUint32(20, CLUSTER_BITS);
  view.setBigUint64(24, BigInt(size));
  view.setUint32(36, Math.ceil(size / (CLUSTER * (CLUSTER / 8)))); // L1 entries
  view.setBigUint64(40, BigInt(3 * CLUSTER)); // L1 table
  view.setBigUint64(48, BigInt(CLUSTER)); // refcount table
  view.setUint32(56, 1); // clusters of it
  view.setUint32(96, 4); // refcounts of 16 bits
  view.setUint32(100, HEADER_LENGTH);
  header.set(format, HEADER_LENGTH);
  header.set(end, HEADER_LENGTH + format.length);
  header.set(name, nameAt);

  const refcountTable = new Uint8Array(8);
  new DataView(refcountTable.buffer).setBigUint64(0, BigInt(2 * CLUSTER));
  const refcounts = new Uint8Array([0, 1, 0, 1, 0, 1, 0, 1]);
  return {
    length: 4 * CLUSTER,
    parts: [
      { at: 0, bytes: header },
      { at: CLUSTER, bytes: refcountTable },
      { at: 2 * CLUSTER, bytes: refcounts },
    ],
  };
}

/** A header extension: type, length, data padded to 8 bytes. */
function extension(type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + Math.ceil(data.length / 8) * 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type);
  view.setUint32(4, data.length);
  bytes.set(data, 8);
  return bytes;
}

/** What is read of an overlay: its virtual size and the name of what is below it. */
export interface Qcow2Info {
  /** Bytes. */
  readonly size: number;
  /** As the header has it; undefined without one. */
  readonly backing: string | undefined;
}

/** Bytes that {@linkcode readQcow2} needs at most. */
export const QCOW2_HEAD_BYTES = 4096;

/**
 * Reads the beginning of a qcow2 file.
 *
 * @throws {Error} When it is no qcow2 header of version 3, or names something outside of what was given.
 */
export function readQcow2(head: Uint8Array<ArrayBuffer>): Qcow2Info {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < HEADER_LENGTH || view.getUint32(0) !== 0x514649fb || view.getUint32(4) !== 3) {
    throw new Error("Not a qcow2 image of version 3");
  }
  const at = Number(view.getBigUint64(8));
  const length = view.getUint32(16);
  const size = Number(view.getBigUint64(24));
  if (at === 0) return { size, backing: undefined };
  if (length > MAX_NAME_BYTES || at + length > head.length) {
    throw new Error("The name of the backing file lies outside of the header");
  }
  return { size, backing: new TextDecoder().decode(head.subarray(at, at + length)) };
}
