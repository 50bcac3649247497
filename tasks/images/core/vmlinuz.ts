/**
 * Finds the compressed ELF kernel in an x86 bzImage.
 * Source: the Linux x86 boot protocol, fields `setup_sects`, `header`, `payload_offset`, `payload_length`.
 */

/** A compression that Linux knows, named as its program. */
export type Compression = "gzip" | "xz" | "lz4" | "zstd" | "bzip2" | "lzma" | "lzop";

/** Where the compressed kernel lies in the file. */
export interface KernelPayload {
  /** How it is compressed. */
  readonly compression: Compression;
  /** First byte. */
  readonly start: number;
  /** Byte after the last one. */
  readonly end: number;
}

const MAGIC: readonly [Compression, readonly number[]][] = [
  ["gzip", [0x1f, 0x8b, 0x08]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["lz4", [0x02, 0x21, 0x4c, 0x18]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["lzop", [0x89, 0x4c, 0x5a, 0x4f]],
  ["lzma", [0x5d, 0x00, 0x00]],
];
const SECTOR = 512;
const SETUP_SECTS = 0x1f1;
const HEADER = 0x202;
const VERSION = 0x206;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const MIN_VERSION = 0x0208;
/** Linux appends the uncompressed size, 4 bytes, to all but gzip, which carries it itself. */
const SIZE_SUFFIX = 4;

/**
 * Finds the compressed kernel.
 *
 * @throws {TypeError} When this is no bzImage with a payload of a known compression.
 */
export function findKernelPayload(image: Uint8Array): KernelPayload {
  if (image.length < PAYLOAD_LENGTH + 4) throw new TypeError("Cannot read the kernel: too short");
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (view.getUint32(HEADER, true) !== 0x53726448) { // "HdrS"
    throw new TypeError("Cannot read the kernel: no boot header");
  }
  if (view.getUint16(VERSION, true) < MIN_VERSION) {
    throw new TypeError("Cannot read the kernel: boot protocol before 2.08");
  }
  const setup = (view.getUint8(SETUP_SECTS) || 4) + 1;
  const start = setup * SECTOR + view.getUint32(PAYLOAD_OFFSET, true);
  const length = view.getUint32(PAYLOAD_LENGTH, true);
  if (length <= SIZE_SUFFIX || start + length > image.length) {
    throw new TypeError("Cannot read the kernel: the payload lies outside the file");
  }
  const found = MAGIC.find(([, magic]) => magic.every((byte, i) => image[start + i] === byte));
  if (found === undefined) throw new TypeError("Cannot read the kernel: unknown compression");
  const [compression] = found;
  const end = start + length - (compression === "gzip" ? 0 : SIZE_SUFFIX);
  return { compression, start, end };
}

/** True when the bytes begin as a 64-bit little-endian ELF file. */
export function isElf64(bytes: Uint8Array): boolean {
  return [0x7f, 0x45, 0x4c, 0x46, 2, 1].every((byte, i) => bytes[i] === byte);
}
