/** Extended attributes (xattr(7)) as file metadata: `user.e2b.<key>`. */
import { checked, cString, Errno, errno, libc, LibcError } from "./libc.ts";

const PREFIX = "user.e2b.";
/** Largest list and value that the kernel gives (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`), in bytes. */
const MAX_BYTES = 65536;

/** Metadata of a file; empty where the file system has no attributes. */
export function readMetadata(path: string): Record<string, string> {
  const file = cString(path);
  const metadata: Record<string, string> = {};
  for (const name of listNames(file)) {
    const value = new Uint8Array(MAX_BYTES);
    const size = Number(libc.getxattr(file, cString(name), value, BigInt(value.length)));
    if (size < 0) continue; // removed in between
    metadata[name.slice(PREFIX.length)] = new TextDecoder().decode(value.subarray(0, size));
  }
  return metadata;
}

/**
 * Replaces the whole metadata of a file.
 *
 * @throws {LibcError} When the file system refuses; without any metadata old and new it never does.
 */
export function writeMetadata(path: string, metadata: Record<string, string>): void {
  const file = cString(path);
  for (const name of listNames(file)) {
    if (Object.hasOwn(metadata, name.slice(PREFIX.length))) continue;
    if (libc.removexattr(file, cString(name)) < 0 && errno() !== Errno.ENODATA) {
      throw new LibcError("remove an attribute", errno());
    }
  }
  for (const [key, text] of Object.entries(metadata)) {
    const value = new TextEncoder().encode(text);
    checked(
      libc.setxattr(file, cString(PREFIX + key), value, BigInt(value.length), 0),
      "set an attribute",
    );
  }
}

const small: Uint8Array<ArrayBuffer> = new Uint8Array(1024);

function listNames(file: Uint8Array<ArrayBuffer>): string[] {
  let list = small;
  let size = Number(libc.listxattr(file, list, BigInt(list.length)));
  if (size < 0 && errno() === Errno.ERANGE) {
    list = new Uint8Array(MAX_BYTES);
    size = Number(libc.listxattr(file, list, BigInt(list.length)));
  }
  if (size <= 0) return [];
  return new TextDecoder().decode(list.subarray(0, size)).split("\0")
    .filter((name) => name.startsWith(PREFIX));
}
