/** Watches by request: for a stream, or kept under an id to be polled. */
import { WrennError } from "@wrenn/common/errors";
import { Errno, LibcError } from "../linux/libc.ts";
import { isNetworkMount } from "../linux/statfs.ts";
import { fileError } from "../files/file_error.ts";
import { type Change, ChangeQueue } from "./change_queue.ts";
import { Inotify } from "./inotify.ts";
import { TreeWatch } from "./tree_watch.ts";

/** Watchers that may be kept for polling. */
const MAX_WATCHERS = 1024;

/** What to watch. */
export interface WatchSpec {
  /** Absolute path of a directory. */
  path: string;
  /** Everything below, too. */
  recursive: boolean;
  /** Read the entry of what changed. */
  includeEntry: boolean;
  /** Watch network file systems although they tell only our own changes. */
  allowNetworkMounts: boolean;
}

/** A running watch. */
export interface Watch extends Disposable {
  /** What was asked. */
  readonly spec: WatchSpec;
  /** Its changes. */
  readonly queue: ChangeQueue;
}

/** Opens watches and keeps the polled ones. */
export class Watchers implements AsyncDisposable {
  readonly #inotify: Inotify = new Inotify();
  readonly #kept: Map<string, Watch> = new Map();

  /**
   * Watches a directory.
   *
   * @throws {WrennError} `file_not_found`, `not_directory`, `invalid_request` for network file systems.
   */
  async open(spec: WatchSpec): Promise<Watch> {
    const queue = new ChangeQueue();
    try {
      if (!(await Deno.stat(spec.path)).isDirectory) {
        throw new WrennError("not_directory", `path '${spec.path}' is not a directory`);
      }
      if (!spec.allowNetworkMounts && isNetworkMount(spec.path)) {
        throw new WrennError(
          "invalid_request",
          `Cannot watch '${spec.path}': it is on a network file system`,
        );
      }
      const tree = await TreeWatch.open(this.#inotify, spec.path, spec.recursive, queue);
      return { spec, queue, [Symbol.dispose]: () => tree.close() };
    } catch (error) {
      if (error instanceof LibcError && error.errno === Errno.ENOSPC) {
        throw new WrennError("too_many_requests", "Too many directories are watched", {
          cause: error,
        });
      }
      throw fileError(error, spec.path);
    }
  }

  /** Watches a directory for polling and returns the watcher's id. @throws {WrennError} As `open`. */
  async create(spec: WatchSpec): Promise<string> {
    if (this.#kept.size >= MAX_WATCHERS) {
      throw new WrennError("too_many_requests", `More than ${MAX_WATCHERS} watchers`);
    }
    const id = `w-${crypto.randomUUID()}`;
    this.#kept.set(id, await this.open(spec));
    return id;
  }

  /** Changes since the last call. @throws {WrennError} `not_found`, `too_many_requests` after a loss. */
  poll(id: string): { spec: WatchSpec; changes: Change[] } {
    const { spec, queue } = this.#find(id);
    if (queue.takeLost()) throw lostChanges();
    return { spec, changes: queue.drain() };
  }

  /** Ends a polled watch. @throws {WrennError} `not_found`. */
  remove(id: string): void {
    this.#find(id)[Symbol.dispose]();
    this.#kept.delete(id);
  }

  /** Ends all polled watches and waits until the kernel has let go. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.#kept.keys()]) this.remove(id);
    await this.#inotify.idle();
  }

  #find(id: string): Watch {
    const watch = this.#kept.get(id);
    if (watch) return watch;
    throw new WrennError("not_found", `watcher with id ${id} not found`);
  }
}

/** The error of one whose changes came faster than they were taken. */
export function lostChanges(): WrennError {
  return new WrennError(
    "too_many_requests",
    "Changes were lost: they came faster than they were read",
  );
}
