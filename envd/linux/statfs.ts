/** statfs(2): kind and size of a file system. */
import { checked, cString, libc } from "./libc.ts";

/** Numbers of one file system. */
export interface FileSystemInfo {
  /** Magic number of its kind. */
  type: number;
  /** Size in bytes. */
  totalBytes: number;
  /** Bytes in use. */
  usedBytes: number;
}

/** NFS, SMB, CIFS, SMB2, FUSE, AFS, CODA, Ceph, 9P (`linux/magic.h`). */
const NETWORK_TYPES: ReadonlySet<number> = new Set([
  0x6969,
  0x517b,
  0xff534d42,
  0xfe534d42,
  0x65735546,
  0x5346414f,
  0x73757245,
  0x00c36400,
  0x01021997,
]);

/** The file system under a path. @throws {LibcError} When there is no such path. */
export function fileSystemInfo(path: string): FileSystemInfo {
  const buffer = new Uint8Array(256);
  checked(libc.statfs(cString(path), buffer), "read the file system");
  const view = new DataView(buffer.buffer);
  const word = (index: number): number => Number(view.getBigUint64(index * 8, true));
  const blockSize = word(1);
  return {
    type: view.getUint32(0, true),
    totalBytes: word(2) * blockSize,
    usedBytes: (word(2) - word(3)) * blockSize,
  };
}

/** True where changes can come from other machines or programs without a notice to the kernel. */
export function isNetworkMount(path: string): boolean {
  return NETWORK_TYPES.has(fileSystemInfo(path).type);
}
