/** Watching a directory. */
import type { CallOptions } from "./config.ts";
import type { Connection } from "./connection.ts";
import { errorFromMessage } from "./core/error_map.ts";
import { UnavailableError } from "./errors.ts";
import type { MessageSocket } from "./socket.ts";

/** What happened to a file. */
export type WatchEventType = "create" | "write" | "remove" | "rename" | "chmod";

/** A change below a watched directory. */
export interface WatchEvent {
  /** What happened. */
  readonly type: WatchEventType;
  /** Path relative to the watched directory. */
  readonly name: string;
}

/** How a directory is watched. */
export interface WatchOptions extends CallOptions {
  /** Watch subdirectories as well. Default false. */
  recursive?: boolean | undefined;
  /** Linux user whose home relative paths start from. Default: the template's. */
  user?: string | undefined;
}

const TYPES: ReadonlySet<unknown> = new Set(["create", "write", "remove", "rename", "chmod"]);

/**
 * The changes of a directory, from the moment `files.watch()` answered. Leaving the loop ends the watch.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * await using changes = await sandbox.files.watch("/tmp");
 * await sandbox.files.write("/tmp/new.txt", "x");
 * for await (const { type, name } of changes) {
 *   if (type === "create" && name === "new.txt") break;
 * }
 * ```
 */
export class FileWatch implements AsyncIterable<WatchEvent>, AsyncDisposable {
  readonly #socket: MessageSocket;
  readonly #signal: AbortSignal | undefined;
  readonly #stop: () => void;

  /** Made by `files.watch()`. */
  constructor(socket: MessageSocket, signal: AbortSignal | undefined) {
    this.#socket = socket;
    this.#signal = signal;
    this.#stop = () => void this.close();
    signal?.addEventListener("abort", this.#stop, { once: true });
    if (signal?.aborted) void this.close();
  }

  /** Starts a watch; resolves when it is in place. */
  static async start(
    connection: Connection,
    path: string,
    request: Record<string, unknown>,
    options: CallOptions,
  ): Promise<FileWatch> {
    const socket = await connection.socket(path, options);
    const watch = new FileWatch(socket, options.signal);
    try {
      await socket.send(request);
      for (let started = false; !started;) started = (await watch.#receive())?.["type"] === "start";
      return watch;
    } catch (error) {
      await watch.close();
      if (options.signal?.aborted) throw options.signal.reason;
      throw error;
    }
  }

  /** Ends the watch; a loop over it ends. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#stop);
    await this.#socket.close();
  }

  /** The changes as they happen. */
  async *[Symbol.asyncIterator](): AsyncGenerator<WatchEvent, void, void> {
    try {
      for (;;) {
        const message = await this.#receive(true);
        if (message === undefined) return;
        if (TYPES.has(message["type"]) && typeof message["name"] === "string") {
          yield { type: message["type"] as WatchEventType, name: message["name"] };
        }
      }
    } finally {
      await this.close();
    }
  }

  /** Ends the watch. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #receive(mayEnd: boolean = false): Promise<Record<string, unknown> | undefined> {
    const message = await this.#socket.receive();
    this.#signal?.throwIfAborted();
    if (message?.["type"] === "error") throw errorFromMessage(message["error"]);
    if (message === undefined && !mayEnd) {
      throw new UnavailableError("connection_lost", "The platform closed before the watch began");
    }
    return message;
  }
}
