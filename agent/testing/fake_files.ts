/** Files of a fake guest. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type EntryInfo,
  EntryInfoSchema,
  EventType,
  type Filesystem,
  FileType,
} from "@wrenn/proto/filesystem";
import { WrennError } from "@wrenn/common";

/** A flat map of files and directories. `/full` has no space, `/proc/x` no size. */
export class FakeFiles {
  readonly contents: Map<string, Uint8Array<ArrayBuffer>> = new Map();
  readonly directories: Set<string> = new Set(["/", "/home/user"]);
  readonly #watchers = new Set<(name: string) => void>();

  /** How many watch. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** `GET /files`, `POST /files`. */
  async answer(request: Request, given: string): Promise<Response> {
    const path = resolve(given);
    if (this.directories.has(path)) {
      throw new WrennError("is_directory", `path '${path}' is a directory`);
    }
    if (request.method === "POST") {
      if (path === "/full") throw new WrennError("no_space", "not enough disk space");
      const data = await request.bytes();
      this.contents.set(path, data);
      for (const tell of this.#watchers) tell(path.split("/").at(-1) ?? "");
      return Response.json([{ name: path.split("/").at(-1), path, type: "file" }]);
    }
    const data = this.contents.get(path);
    if (!data) throw new WrennError("file_not_found", `path '${path}' does not exist`);
    if (path.startsWith("/proc/")) return new Response(ReadableStream.from([data]));
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
    if (!range || data.length === 0) {
      return new Response(data, { headers: { "content-length": String(data.length) } });
    }
    const from = Number(range[1]);
    if (from >= data.length) throw new WrennError("range_not_satisfiable", "Outside the file");
    return new Response(data.subarray(from, range[2] ? Number(range[2]) + 1 : undefined), {
      status: 206,
    });
  }

  service(): ServiceImpl<typeof Filesystem> {
    const unsupported = (): never => {
      throw new WrennError("invalid_request", "Not in the fake");
    };
    return {
      createWatcher: unsupported,
      getWatcherEvents: unsupported,
      removeWatcher: unsupported,
      stat: ({ path }) => ({ entry: this.#entry(resolve(path)) }),
      listDir: ({ path, depth }) => {
        const root = resolve(path);
        if (!this.directories.has(root)) throw new WrennError("not_directory", `${root} is not`);
        const prefix = root === "/" ? "/" : `${root}/`;
        const all = [...this.directories, ...this.contents.keys()];
        return {
          entries: all.filter((p) =>
            p !== root && p.startsWith(prefix) &&
            p.slice(prefix.length).split("/").length <= depth
          ).map((p) => this.#entry(p)),
        };
      },
      makeDir: ({ path }) => {
        const target = resolve(path);
        if (this.directories.has(target)) throw new WrennError("already_exists", "It is there");
        this.directories.add(target);
        return { entry: this.#entry(target) };
      },
      move: ({ source, destination }) => {
        const from = resolve(source);
        const to = resolve(destination);
        const data = this.contents.get(from);
        if (!data) throw new WrennError("file_not_found", `path '${from}' does not exist`);
        this.contents.delete(from);
        this.contents.set(to, data);
        return { entry: this.#entry(to) };
      },
      remove: ({ path }) => {
        this.contents.delete(resolve(path));
        this.directories.delete(resolve(path));
        return {};
      },
      watchDir: (request, { signal }) => this.#watch(resolve(request.path), signal),
    };
  }

  async *#watch(
    path: string,
    signal: AbortSignal,
  ): AsyncGenerator<{ event: { case: "start"; value: object } | ReturnType<typeof written> }> {
    if (!this.directories.has(path)) throw new WrennError("file_not_found", `No '${path}'`);
    const names: string[] = [];
    let wake: (() => void) | undefined;
    const tell = (name: string): void => {
      names.push(name);
      wake?.();
    };
    signal.addEventListener("abort", () => wake?.(), { once: true });
    this.#watchers.add(tell);
    try {
      yield { event: { case: "start", value: {} } };
      while (!signal.aborted) {
        for (const name of names.splice(0)) yield { event: written(name) };
        await new Promise<void>((resolve) => wake = resolve);
      }
    } finally {
      this.#watchers.delete(tell);
    }
  }

  #entry(path: string): EntryInfo {
    const data = this.contents.get(path);
    if (!data && !this.directories.has(path)) {
      throw new WrennError("file_not_found", `path '${path}' does not exist`);
    }
    return create(EntryInfoSchema, {
      name: path.split("/").at(-1) ?? "",
      path,
      type: data ? FileType.FILE : FileType.DIRECTORY,
      size: BigInt(data?.length ?? 0),
      mode: data ? 0o644 : 0o755,
      owner: "user",
      group: "user",
    });
  }
}

function written(name: string): {
  case: "filesystem";
  value: { name: string; type: EventType };
} {
  return { case: "filesystem", value: { name, type: EventType.WRITE } };
}

function resolve(path: string): string {
  return path.startsWith("/") ? path : `/home/user/${path}`;
}
