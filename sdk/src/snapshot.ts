/** Snapshots: moments of sandboxes that new ones start from. */
import type { CallOptions, ConnectionOptions } from "./config.ts";
import { Connection } from "./connection.ts";
import { InvalidRequestError, NotFoundError } from "./errors.ts";
import { list, readSnapshot, type SnapshotInfo } from "./snapshot_info.ts";

/** Which snapshots are listed. */
export interface SnapshotListOptions extends ConnectionOptions, CallOptions {
  /** Of this sandbox. */
  sandboxId?: string | undefined;
  /** With this name. */
  name?: string | undefined;
  /** Snapshots per request, 1 to 100. Default: the platform's. */
  pageSize?: number | undefined;
}

/**
 * A sandbox's processes, memory and files at one moment. It outlives the sandbox.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * await sandbox.commands.run("pip install requests");
 * const snapshot = await sandbox.snapshot("with requests");
 * await using another = await Sandbox.create({ snapshot: snapshot.id });
 * ```
 */
export class Snapshot {
  /** `snap-` and 16 hex digits. */
  readonly id: string;
  /** What the platform said about it. */
  readonly info: SnapshotInfo;
  readonly #connection: Connection;

  /** @internal */
  constructor(connection: Connection, info: SnapshotInfo) {
    this.#connection = connection;
    this.id = info.id;
    this.info = info;
  }

  /** A snapshot that exists. Throws {@linkcode NotFoundError} when it does not. */
  static async get(id: string, options: ConnectionOptions & CallOptions = {}): Promise<Snapshot> {
    const connection = new Connection(options);
    const { signal, requestTimeoutMs } = options;
    const request = { method: "GET", path: pathOf(id), signal, requestTimeoutMs } as const;
    return new Snapshot(connection, readSnapshot(await connection.http.json(request)));
  }

  /** The snapshots of this key's team, newest first, page by page as the loop goes on. */
  static async *list(options: SnapshotListOptions = {}): AsyncGenerator<Snapshot, void, void> {
    const connection = new Connection(options);
    const { sandboxId, name, pageSize, signal, requestTimeoutMs } = options;
    let cursor: string | undefined;
    do {
      const page = await connection.http.json({
        method: "GET",
        path: "/v1/snapshots",
        query: { sandbox_id: sandboxId, name, limit: pageSize, cursor },
        signal,
        requestTimeoutMs,
      });
      for (const wire of list(page, "snapshots")) {
        yield new Snapshot(connection, readSnapshot(wire));
      }
      cursor = typeof page["next_cursor"] === "string" ? page["next_cursor"] : undefined;
    } while (cursor);
  }

  /** Deletes it. Sandboxes that started from it live on. Nothing happens when it is gone already. */
  async delete(options: CallOptions = {}): Promise<void> {
    const { signal, requestTimeoutMs } = options;
    try {
      await this.#connection.http.empty({
        method: "DELETE",
        path: pathOf(this.id),
        signal,
        requestTimeoutMs,
      });
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
}

/** An id goes into a URL's path: what could lead elsewhere is refused. */
function pathOf(id: string): string {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) {
    throw new InvalidRequestError("invalid_request", `Not a snapshot id: '${id.slice(0, 80)}'`);
  }
  return `/v1/snapshots/${id}`;
}
