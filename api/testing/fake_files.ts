/** A file system in memory with the guest's rules for users and paths. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type FileEntry, FileEntrySchema, type FileRef, FileType } from "@wrenn/proto/agent";
import { WrennError } from "@wrenn/common";

const HOMES: Readonly<Record<string, string>> = { root: "/root", user: "/home/user" };
const ZEROS = new Uint8Array(64 * 1024);

type Node = { type: "file"; data: Uint8Array } | { type: "directory" };

/** What {@linkcode FakeFiles} tells a watcher. */
export interface FakeFileEvent {
  readonly type: "create" | "write" | "remove" | "rename";
  readonly path: string;
}

/**
 * Files of one fake sandbox. `/dev/zero/<bytes>` reads as that many zeros and `/dev/null` takes any
 * amount, both without keeping it, for tests of memory.
 */
export class FakeFiles {
  readonly #nodes = new Map<string, Node>();
  readonly #watchers = new Set<(event: FakeFileEvent) => void>();

  /** Starts with the usual folders. */
  constructor() {
    for (const path of ["/", "/etc", "/root", "/home", "/home/user", "/tmp"]) {
      this.#nodes.set(path, { type: "directory" });
    }
    this.#nodes.set("/etc/passwd", { type: "file", data: new Uint8Array(8) });
  }

  /** Absolute path of a reference. Throws `invalid_user` and `invalid_path`. */
  resolve(ref: FileRef | undefined, path: string = ref?.path ?? ""): string {
    const home = HOMES[ref?.user || "user"];
    if (home === undefined) throw new WrennError("invalid_user", `User '${ref?.user}' not found`);
    if (path === "" || path.includes("\0")) throw new WrennError("invalid_path", "Invalid path");
    const full = path.startsWith("/")
      ? path
      : `${home}/${path === "~" ? "" : path.replace(/^~\//, "")}`;
    return new URL(`file://${full.split("/").map(encodeURIComponent).join("/")}`).pathname
      .split("/").filter((p) => p !== "").map(decodeURIComponent)
      .reduce((left, part) => `${left}/${part}`, "") || "/";
  }

  /** Size and content of a range, in pieces of 64 KiB. */
  read(path: string, offset: number, length: number): { size: number; data: Iterable<Uint8Array> } {
    const zeros = /^\/dev\/zero\/(\d+)$/.exec(path)?.[1];
    const node = zeros === undefined ? this.#file(path) : undefined;
    const total = node?.data.length ?? Number(zeros);
    if (offset > total) {
      throw new WrennError("range_not_satisfiable", `File '${path}' ends at ${total}`);
    }
    const end = length === 0 ? total : Math.min(total, offset + length);
    return { size: end - offset, data: pieces(node?.data, offset, end) };
  }

  /** Keeps a whole file and answers its size; makes the folders above it. */
  async write(path: string, data: AsyncIterable<Uint8Array>): Promise<number> {
    if (this.#nodes.get(path)?.type === "directory") {
      throw new WrennError("is_directory", `Path '${path}' is a directory`);
    }
    let size = 0;
    const parts: Uint8Array[] = [];
    for await (const piece of data) {
      size += piece.length;
      if (path !== "/dev/null") parts.push(new Uint8Array(piece));
    }
    if (path !== "/dev/null") {
      this.#parents(path);
      const existed = this.#nodes.has(path);
      const whole = new Uint8Array(size);
      parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
      this.#nodes.set(path, { type: "file", data: whole });
      if (!existed) this.#tell({ type: "create", path });
      this.#tell({ type: "write", path });
    }
    return size;
  }

  /** Description of a path. */
  stat(path: string): FileEntry {
    const node = this.#node(path);
    return create(FileEntrySchema, {
      name: path.split("/").pop() ?? "",
      path,
      type: node.type === "file" ? FileType.FILE : FileType.DIRECTORY,
      size: BigInt(node.type === "file" ? node.data.length : 4096),
      mode: node.type === "file" ? 0o644 : 0o755,
      owner: "user",
      group: "user",
      modifiedAt: timestampFromMs(1_700_000_000_000),
    });
  }

  /** Entries below a folder, `depth` levels deep. */
  list(path: string, depth: number): FileEntry[] {
    if (this.#node(path).type === "file") {
      throw new WrennError("not_directory", `Path '${path}' is not a directory`);
    }
    const base = path === "/" ? "/" : `${path}/`;
    return [...this.#nodes.keys()]
      .filter((p) => p !== path && p.startsWith(base))
      .filter((p) => p.slice(base.length).split("/").length <= depth)
      .sort().map((p) => this.stat(p));
  }

  /** Makes a folder and those above it. */
  mkdir(path: string): FileEntry {
    if (this.#nodes.has(path)) {
      throw new WrennError("already_exists", `Path '${path}' already exists`);
    }
    this.#parents(path);
    this.#nodes.set(path, { type: "directory" });
    this.#tell({ type: "create", path });
    return this.stat(path);
  }

  /** Renames a file or a folder with all below it. */
  move(from: string, to: string): FileEntry {
    this.#node(from);
    this.#parents(to);
    for (const [path, node] of [...this.#nodes]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.#nodes.delete(path);
      this.#nodes.set(to + path.slice(from.length), node);
    }
    this.#tell({ type: "rename", path: from });
    return this.stat(to);
  }

  /** Removes a file or a folder with all below it. One that is not there is fine, as with the guest agent. */
  remove(path: string): void {
    if (!this.#nodes.has(path)) return;
    for (const p of [...this.#nodes.keys()]) {
      if (p === path || p.startsWith(`${path}/`)) this.#nodes.delete(p);
    }
    this.#tell({ type: "remove", path });
  }

  /** Calls back for every change until the returned function is called. */
  watch(callback: (event: FakeFileEvent) => void): () => void {
    this.#watchers.add(callback);
    return () => void this.#watchers.delete(callback);
  }

  #node(path: string): Node {
    const node = this.#nodes.get(path);
    if (!node) throw new WrennError("file_not_found", `Path '${path}' not found`);
    return node;
  }

  #file(path: string): { data: Uint8Array } {
    const node = this.#node(path);
    if (node.type === "directory") {
      throw new WrennError("is_directory", `Path '${path}' is a directory`);
    }
    return node;
  }

  #parents(path: string): void {
    const parts = path.split("/").slice(1, -1);
    for (let i = 1; i <= parts.length; i++) {
      const parent = `/${parts.slice(0, i).join("/")}`;
      const node = this.#nodes.get(parent);
      if (node?.type === "file") {
        throw new WrennError("not_directory", `Path '${parent}' is not a directory`);
      }
      if (!node) this.#nodes.set(parent, { type: "directory" });
    }
  }

  #tell(event: FakeFileEvent): void {
    for (const watcher of this.#watchers) watcher(event);
  }
}

function* pieces(data: Uint8Array | undefined, from: number, to: number): Generator<Uint8Array> {
  for (let at = from; at < to; at += ZEROS.length) {
    const end = Math.min(to, at + ZEROS.length);
    yield data ? data.subarray(at, end) : ZEROS.subarray(0, end - at);
  }
}
