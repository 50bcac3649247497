/**
 * Small files that every sandbox gets anew. They are written in place: an emptied file gives its block back and gets
 * another one, through the journal of the file system and at once to the disk (ext4(5), `auto_da_alloc`), which is
 * most of what a new identity would cost.
 */
import { checked, cString, libc } from "./libc.ts";

const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_CLOEXEC = 0o2000000;
const SEEK_END = 2;

/** Makes `text` the content of a file, which is made with mode 0644 when it is missing. @throws {LibcError} */
export function overwrite(path: string, text: string): void {
  const bytes = new TextEncoder().encode(text);
  const flags = O_WRONLY | O_CREAT | O_CLOEXEC;
  const fd = checked(libc.open(cString(path), flags, 0o644), `open '${path}'`);
  try {
    const size = checked(libc.lseek(fd, 0n, SEEK_END), `seek in '${path}'`);
    const written = checked(
      libc.pwrite(fd, bytes, BigInt(bytes.length), 0n),
      `write '${path}'`,
    );
    if (written < bytes.length) throw new Error(`Only ${written} bytes of '${path}' were written`);
    if (size > bytes.length) {
      checked(libc.ftruncate(fd, BigInt(bytes.length)), `shorten '${path}'`);
    }
  } finally {
    libc.close(fd);
  }
}
