/**
 * One inotify instance for all watchers. A thread of Deno's pool waits in read(2) as long as anything is
 * watched: removing the last watch makes the kernel send a record, which wakes and ends it.
 */
import { type InotifyRecord, Mask, parseRecords } from "../core/inotify.ts";
import { logger } from "@wrenn/common/log";
import { checked, cString, libc } from "../linux/libc.ts";

const IN_CLOEXEC = 0o2000000;
const BUFFER_BYTES = 64 * 1024;

/** Gets the records of one directory. */
export type RecordListener = (record: InotifyRecord) => void;

/** Watches directories; several listeners may share one. */
export class Inotify {
  #fd = -1;
  #loop: Promise<void> | undefined;
  readonly #listeners: Map<number, Set<RecordListener>> = new Map();
  /** Removed, until the kernel has said its last word about them. */
  readonly #leaving: Set<number> = new Set();

  /**
   * Watches a directory and returns the descriptor; the same directory has one descriptor.
   *
   * @param mask Bits of `Mask`; the same for every listener of a directory.
   * @throws {LibcError} When there is no such directory or the kernel has no watches left.
   */
  add(directory: string, mask: number, listener: RecordListener): number {
    if (this.#fd < 0) this.#fd = checked(libc.inotify_init1(IN_CLOEXEC), "watch directories");
    let watch: number;
    try {
      watch = checked(
        libc.inotify_add_watch(this.#fd, cString(directory), mask),
        "watch a directory",
      );
    } catch (error) {
      this.#closeIfIdle();
      throw error;
    }
    const listeners = this.#listeners.get(watch) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(watch, listeners);
    this.#start();
    return watch;
  }

  /** Ends one listener's watch of a directory. */
  remove(watch: number, listener: RecordListener): void {
    const listeners = this.#listeners.get(watch);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    this.#listeners.delete(watch);
    // Fails when the directory is gone: the kernel's last record is on its way then, too.
    libc.inotify_rm_watch(this.#fd, watch);
    this.#leaving.add(watch);
  }

  /** Resolves when nothing is watched and the thread is back. */
  async idle(): Promise<void> {
    while (this.#loop) await this.#loop;
  }

  #start(): void {
    this.#loop ??= this.#read().finally(() => {
      this.#loop = undefined;
      if (this.#listeners.size > 0) this.#start();
      else this.#closeIfIdle();
    });
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(BUFFER_BYTES);
    while (this.#listeners.size > 0 || this.#leaving.size > 0) {
      const size = Number(await libc.read(this.#fd, buffer, BigInt(buffer.length)));
      if (size < 0) continue; // interrupted by a signal
      for (const record of parseRecords(buffer.slice(0, size))) this.#dispatch(record);
    }
  }

  #dispatch(record: InotifyRecord): void {
    if (record.mask & Mask.Q_OVERFLOW) {
      logger("envd", "watch").warn("Lost file system events: the kernel's queue was full");
      for (const listeners of this.#listeners.values()) call(listeners, record);
      return;
    }
    const listeners = this.#listeners.get(record.watch);
    if (record.mask & Mask.IGNORED) {
      this.#leaving.delete(record.watch);
      this.#listeners.delete(record.watch);
    }
    if (listeners) call(listeners, record);
  }

  #closeIfIdle(): void {
    if (this.#fd < 0 || this.#loop || this.#listeners.size > 0) return;
    libc.close(this.#fd);
    this.#fd = -1;
    this.#leaving.clear();
  }
}

function call(listeners: ReadonlySet<RecordListener>, record: InotifyRecord): void {
  for (const listener of [...listeners]) listener(record);
}
