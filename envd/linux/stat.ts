/**
 * stat(2) by FFI, for what every command asks: Deno's own makes an object with four dates of each file, which takes an
 * emulated guest eight times as long.
 */
import { cString, libc } from "./libc.ts";

/** `struct stat` with room. */
const STAT_BYTES = 256;
/** Offset of `st_mode`; those of `st_ino`, `st_size` and `st_mtim` are the same on both architectures. */
const MODE_AT = Deno.build.arch === "aarch64" ? 16 : 24;
const INODE_AT = 8;
const SIZE_AT = 48;
const MTIME_AT = 88;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** Mode bits of a file. */
export interface FileMode {
  readonly isDirectory: boolean;
  readonly isFile: boolean;
  /** Somebody may execute it. */
  readonly isExecutable: boolean;
}

const buffer = new Uint8Array(STAT_BYTES);
const view = new DataView(buffer.buffer);

/** What is at a path, links followed; undefined when nothing is, or nobody can tell. */
export function fileMode(path: string): FileMode | undefined {
  if (libc.stat(cString(path), buffer) !== 0) return undefined;
  const mode = view.getUint32(MODE_AT, true);
  const kind = mode & S_IFMT;
  return {
    isDirectory: kind === S_IFDIR,
    isFile: kind === S_IFREG,
    isExecutable: (mode & 0o111) !== 0,
  };
}

/** Inode, size and time of the last change of a file's content, to tell whether it is still the same. */
export class FileStamp {
  readonly #path: Uint8Array<ArrayBuffer>;
  readonly #seen: Uint8Array<ArrayBuffer> = new Uint8Array(STAT_BYTES);
  #there: boolean | undefined;

  /** @param path The file. */
  constructor(path: string) {
    this.#path = cString(path);
  }

  /** Whether the file changed, came or went since the last call; true for the first one. */
  changed(): boolean {
    const there = libc.stat(this.#path, buffer) === 0;
    const same = there === this.#there && (!there || this.#isSame());
    if (!same) this.#seen.set(buffer);
    this.#there = there;
    return !same;
  }

  #isSame(): boolean {
    return this.#equal(INODE_AT, 8) && this.#equal(SIZE_AT, 8) && this.#equal(MTIME_AT, 16);
  }

  #equal(at: number, length: number): boolean {
    for (let i = at; i < at + length; i++) if (buffer[i] !== this.#seen[i]) return false;
    return true;
  }
}
