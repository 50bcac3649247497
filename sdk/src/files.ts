/** Files of a sandbox. */
import type { CallOptions } from "./config.ts";
import type { Connection } from "./connection.ts";
import { ConflictError, WrennError } from "./errors.ts";
import { type FileInfo, readFileInfo } from "./file_info.ts";
import { FileWatch, type WatchOptions } from "./watch.ts";

/** What every file call takes. */
export interface FileOptions extends CallOptions {
  /** Linux user who does it; relative paths start at the user's home. Default: the template's. */
  user?: string | undefined;
}

/** How a file is read. */
export interface ReadOptions extends FileOptions {
  /** First byte. Default 0. */
  offset?: number | undefined;
  /** Bytes to read at most. Default: to the end. */
  length?: number | undefined;
}

/** How a directory is listed. */
export interface ListOptions extends FileOptions {
  /** Levels to go down. Default 1: the directory's own entries. */
  depth?: number | undefined;
}

/** What can be written to a file. */
export type FileContent =
  | string
  | Uint8Array
  | ArrayBuffer
  | Blob
  | ReadableStream<Uint8Array>;

/** A file after it was written. */
export interface WrittenFile {
  /** Absolute path in the sandbox. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** Larger bodies get no time limit of their own: how long they take is the network's affair. */
const SMALL_BYTES = 1024 * 1024;

/**
 * Reads, writes and manages files in a sandbox. Paths are absolute, or start at the user's home.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * await sandbox.files.write("/tmp/notes.txt", "hello\n");
 * const text = await sandbox.files.read("/tmp/notes.txt");
 * const stream = await sandbox.files.read("/tmp/notes.txt", { format: "stream" });
 * for await (const piece of stream) console.log(text.length, piece.length);
 * ```
 */
export class Files {
  readonly #connection: Connection;
  readonly #path: string;

  /** Made by {@linkcode Sandbox}. */
  constructor(connection: Connection, path: string) {
    this.#connection = connection;
    this.#path = `${path}/files`;
  }

  /** Reads a file as bytes. */
  read(path: string, options: ReadOptions & { format: "bytes" }): Promise<Uint8Array<ArrayBuffer>>;
  /** Reads a file piece by piece, in constant memory. Cancel the stream to stop early. */
  read(
    path: string,
    options: ReadOptions & { format: "stream" },
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>;
  /** Reads a file as UTF-8 text. */
  read(path: string, options?: ReadOptions & { format?: "text" | undefined }): Promise<string>;
  /** Reads a file in the format asked for. */
  async read(
    path: string,
    options: ReadOptions & { format?: "text" | "bytes" | "stream" | undefined } = {},
  ): Promise<string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>> {
    const { user, offset, length, signal, requestTimeoutMs } = options;
    const request = {
      method: "GET",
      path: `${this.#path}/stream/read`,
      query: { path, user, offset, length },
      signal,
      requestTimeoutMs,
    } as const;
    if (options.format === "stream") return await this.#connection.http.stream(request);
    const bytes = await this.#connection.http.bytes(request);
    return options.format === "bytes" ? bytes : new TextDecoder().decode(bytes);
  }

  /**
   * Writes a file, making missing folders on the way and replacing what was there. A stream is sent as it is
   * produced, in constant memory, and never sent twice.
   */
  async write(path: string, data: FileContent, options: FileOptions = {}): Promise<WrittenFile> {
    const body = data instanceof ReadableStream || data instanceof Blob ? data : new Blob([
      data as string | ArrayBuffer | Uint8Array<ArrayBuffer>,
    ]);
    const small = body instanceof Blob && body.size <= SMALL_BYTES;
    const answer = await this.#connection.http.json({
      method: "POST",
      path: `${this.#path}/stream/write`,
      query: { path, user: options.user },
      body,
      idempotent: true,
      signal: options.signal,
      requestTimeoutMs: options.requestTimeoutMs ?? (small ? undefined : 0),
    });
    return { path: String(answer["path"]), size: Number(answer["size"]) };
  }

  /** Entries of a directory. */
  async list(path: string, options: ListOptions = {}): Promise<FileInfo[]> {
    const depth = options.depth ?? 1;
    const { entries } = await this.#call("list", { path, depth }, options, true);
    if (!Array.isArray(entries)) {
      throw new WrennError("invalid_response", "The platform's answer has no usable 'entries'");
    }
    return entries.map(readFileInfo);
  }

  /** What is at a path. Throws {@linkcode NotFoundError} when nothing is. */
  async stat(path: string, options: FileOptions = {}): Promise<FileInfo> {
    return readFileInfo(await this.#call("stat", { path }, options, true));
  }

  /** True when there is something at a path. */
  async exists(path: string, options: FileOptions = {}): Promise<boolean> {
    try {
      await this.stat(path, options);
      return true;
    } catch (error) {
      const absent = error instanceof WrennError &&
        (error.code === "file_not_found" || error.code === "not_directory");
      if (absent) return false;
      throw error;
    }
  }

  /** Makes a directory and those above it. True when it was made, false when it was there. */
  async makeDir(path: string, options: FileOptions = {}): Promise<boolean> {
    try {
      await this.#call("mkdir", { path }, options, false);
      return true;
    } catch (error) {
      if (error instanceof ConflictError && error.code === "already_exists") return false;
      throw error;
    }
  }

  /** Moves or renames; answers with the entry at its new place. */
  async move(from: string, to: string, options: FileOptions = {}): Promise<FileInfo> {
    const fields = { path: from, destination: to };
    return readFileInfo(await this.#call("move", fields, options, false));
  }

  /** Removes a file, or a directory with all that is in it. What is not there is gone already: no error. */
  async remove(path: string, options: FileOptions = {}): Promise<void> {
    await this.#connection.http.empty(this.#request("remove", { path }, options, false));
  }

  /** Watches a directory; resolves when the watch is in place. */
  watch(path: string, options: WatchOptions = {}): Promise<FileWatch> {
    const { recursive = false, user } = options;
    const request = { path, recursive, ...(user === undefined ? {} : { user }) };
    return FileWatch.start(this.#connection, `${this.#path}/watch`, request, options);
  }

  #call(
    name: string,
    fields: Record<string, unknown>,
    options: FileOptions,
    idempotent: boolean,
  ): Promise<Record<string, unknown>> {
    return this.#connection.http.json(this.#request(name, fields, options, idempotent));
  }

  #request(
    name: string,
    fields: Record<string, unknown>,
    options: FileOptions,
    idempotent: boolean,
  ) {
    const { user, signal, requestTimeoutMs } = options;
    return {
      method: "POST" as const,
      path: `${this.#path}/${name}`,
      json: { ...fields, ...(user === undefined ? {} : { user }) },
      idempotent,
      signal,
      requestTimeoutMs,
    };
  }
}
