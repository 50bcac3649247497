/** What the C library can do with files and Deno cannot: nodes, pipes that do not block, holes. Linux on x86_64. */
import { cString, errno } from "../../network/libc.ts";

const { symbols } = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  mknod: { parameters: ["buffer", "u32", "u64"], result: "i32" },
});

const O_RDONLY = 0;
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const EAGAIN = 11;
const ENXIO = 6;
const KINDS = { pipe: 0o010000, character: 0o020000, block: 0o060000 } as const;

/**
 * Makes a named pipe or a device node of mode 0600, root's.
 *
 * @param device Number of the device, as `stat` tells it.
 * @throws {Error} Also when something is there already.
 */
export function makeNode(path: string, kind: keyof typeof KINDS, device: number = 0): void {
  if (symbols.mknod(cString(path), KINDS[kind] | 0o600, BigInt(device)) !== 0) {
    throw new Error(`Cannot make the node '${path}': errno ${errno()}`);
  }
}

/** Opens a pipe for reading, also while nobody writes to it, and keeps its content when nobody does any more. */
export function openPipe(path: string): number {
  return opened(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

/** Reads what is there; 0 bytes when nothing is. @throws {Error} */
export function readPipe(fd: number, into: Uint8Array<ArrayBuffer>): number {
  const got = Number(symbols.read(fd, into, BigInt(into.length)));
  if (got >= 0) return got;
  if (errno() === EAGAIN) return 0;
  throw new Error(`Cannot read from a pipe: errno ${errno()}`);
}

/** Closes a descriptor. */
export function closeFd(fd: number): void {
  symbols.close(fd);
}

/** Where a file has data: pairs of first byte and the byte after the last. All else is holes. @throws {Error} */
export function dataExtents(path: string): { readonly from: number; readonly to: number }[] {
  const fd = opened(path, O_RDONLY | O_CLOEXEC);
  try {
    const extents: { from: number; to: number }[] = [];
    for (let at = 0n;;) {
      const from = symbols.lseek(fd, at, SEEK_DATA);
      if (from < 0n) {
        if (errno() === ENXIO) return extents;
        throw new Error(`Cannot look for data in '${path}': errno ${errno()}`);
      }
      at = symbols.lseek(fd, from, SEEK_HOLE);
      if (at < 0n) throw new Error(`Cannot look for holes in '${path}': errno ${errno()}`);
      extents.push({ from: Number(from), to: Number(at) });
    }
  } finally {
    closeFd(fd);
  }
}

function opened(path: string, flags: number): number {
  const fd = symbols.open(cString(path), flags);
  if (fd < 0) throw new Error(`Cannot open '${path}': errno ${errno()}`);
  return fd;
}
