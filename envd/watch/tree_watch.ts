/** Watching one directory, or all below it as it grows. */
import { changeOf, type InotifyRecord, Mask, WATCH_MASK } from "../core/inotify.ts";
import { joinPath } from "../core/paths.ts";
import { logger } from "@wrenn/common/log";
import type { ChangeQueue } from "./change_queue.ts";
import type { Inotify, RecordListener } from "./inotify.ts";

/** One watched directory of the tree. */
interface Node {
  /** Relative path, empty for the root. */
  readonly name: string;
  readonly listener: RecordListener;
  watch: number;
  /** Names that the scan of a new directory told, whose own record may follow. */
  readonly told: Set<string>;
  /** Names whose record came while the scan was under way; undefined when there is none. */
  heard: Set<string> | undefined;
}

/** Puts the changes of a directory into a queue until it is closed. */
export class TreeWatch {
  readonly #inotify: Inotify;
  readonly #root: string;
  readonly #recursive: boolean;
  readonly #queue: ChangeQueue;
  readonly #nodes: Map<string, Node> = new Map();
  #closed = false;

  private constructor(inotify: Inotify, root: string, recursive: boolean, queue: ChangeQueue) {
    this.#inotify = inotify;
    this.#root = root;
    this.#recursive = recursive;
    this.#queue = queue;
  }

  /**
   * Watches an existing directory.
   *
   * @throws {LibcError} When it cannot be watched.
   */
  static async open(
    inotify: Inotify,
    root: string,
    recursive: boolean,
    queue: ChangeQueue,
  ): Promise<TreeWatch> {
    const tree = new TreeWatch(inotify, root, recursive, queue);
    try {
      const node = tree.#attach("");
      if (recursive) await tree.#descend(node, false);
      return tree;
    } catch (error) {
      tree.close();
      throw error;
    }
  }

  /** Ends all watches. */
  close(): void {
    this.#closed = true;
    for (const node of this.#nodes.values()) this.#inotify.remove(node.watch, node.listener);
    this.#nodes.clear();
    this.#queue.close();
  }

  #attach(name: string): Node {
    const node: Node = {
      name,
      watch: -1,
      told: new Set(),
      heard: undefined,
      listener: (record) => this.#handle(node, record),
    };
    node.watch = this.#inotify.add(this.#path(name), WATCH_MASK, node.listener);
    this.#nodes.set(name, node);
    return node;
  }

  /** Watches what is below a directory. In a new one, `tell` reports what was there before the watch. */
  async #descend(node: Node, tell: boolean): Promise<void> {
    const heard = node.heard = new Set<string>();
    try {
      for await (const entry of Deno.readDir(this.#path(node.name))) {
        if (this.#closed) return;
        const name = child(node, entry.name);
        if (tell && !heard.has(entry.name)) {
          node.told.add(entry.name);
          this.#queue.push({ name, kind: "create" });
        }
        if (entry.isDirectory) await this.#grow(name, tell);
      }
    } finally {
      node.heard = undefined;
    }
  }

  /** A subdirectory that vanishes meanwhile is no error; one beyond the kernel's limits is a loss. */
  async #grow(name: string, tell: boolean): Promise<void> {
    if (this.#nodes.has(name)) return;
    try {
      await this.#descend(this.#attach(name), tell);
    } catch (error) {
      const gone = await Deno.lstat(this.#path(name)).then(() => false, () => true);
      if (gone || this.#closed) return;
      logger("envd", "watch").warn("Cannot watch a subdirectory", { name, error });
      this.#queue.markLost();
    }
  }

  #handle(node: Node, record: InotifyRecord): void {
    if (this.#closed) return;
    if (record.mask & Mask.Q_OVERFLOW) return this.#queue.markLost();
    if (record.mask & Mask.IGNORED) {
      this.#nodes.delete(node.name);
      return;
    }
    const kind = changeOf(record.mask);
    if (!kind) return;
    if (record.name === "") {
      // A subdirectory's own events are told by its parent.
      if (node.name === "") this.#queue.push({ name: ".", kind });
      return;
    }
    const name = child(node, record.name);
    const known = node.told.delete(record.name);
    if (kind === "create") node.heard?.add(record.name);
    if (!(kind === "create" && known)) this.#queue.push({ name, kind });
    if (!this.#recursive || !(record.mask & Mask.ISDIR)) return;
    if (kind === "rename") this.#detach(name);
    // What moves in is one change; what is made may have been filled before the watch.
    if (kind === "create" && !known) void this.#grow(name, !(record.mask & Mask.MOVED_TO));
  }

  /** Forgets a subdirectory that moved away, with all below it. */
  #detach(name: string): void {
    for (const [key, node] of this.#nodes) {
      if (key !== name && !key.startsWith(`${name}/`)) continue;
      this.#inotify.remove(node.watch, node.listener);
      this.#nodes.delete(key);
    }
  }

  #path(name: string): string {
    return name === "" ? this.#root : joinPath(this.#root, name);
  }
}

function child(node: Node, name: string): string {
  return node.name === "" ? name : `${node.name}/${name}`;
}
