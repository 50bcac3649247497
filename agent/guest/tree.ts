/** Directories and entries of a guest (envd `filesystem.Filesystem`). */
import type { EntryInfo, FilesystemEvent } from "@wrenn/proto/filesystem";
import { linkSignals, WrennError } from "@wrenn/common";
import { type GuestConnection, userHeader } from "./connection.ts";
import { canceled, fromGuestRpc } from "./errors.ts";
import type { GuestFileRef } from "./files.ts";

interface CallOptions {
  headers: Record<string, string>;
  signal: AbortSignal;
}

/** A guest that does not answer a simple question for so long is taken for gone. */
const CALL_LIMIT_MS = 120_000;

/** Lists, makes, moves, removes and watches. */
export class GuestTree {
  readonly #connection: GuestConnection;

  /** @param connection Connection to the guest agent. */
  constructor(connection: GuestConnection) {
    this.#connection = connection;
  }

  /** @throws {WrennError} `file_not_found`, `permission_denied` */
  stat({ path, user }: GuestFileRef, signal: AbortSignal): Promise<EntryInfo> {
    return this.#call(user, signal, async (options) => {
      const { entry } = await this.#connection.filesystem.stat({ path }, options);
      return required(entry);
    });
  }

  /** Entries down to `depth`, at least 1. @throws {WrennError} `file_not_found`, `not_directory` */
  list({ path, user }: GuestFileRef, depth: number, signal: AbortSignal): Promise<EntryInfo[]> {
    return this.#call(user, signal, async (options) => {
      const { entries } = await this.#connection.filesystem.listDir({ path, depth }, options);
      return entries;
    });
  }

  /** Makes a directory and its parents. @throws {WrennError} `already_exists`, `not_directory` */
  mkdir({ path, user }: GuestFileRef, signal: AbortSignal): Promise<EntryInfo> {
    return this.#call(user, signal, async (options) => {
      const { entry } = await this.#connection.filesystem.makeDir({ path }, options);
      return required(entry);
    });
  }

  /** Moves or renames. @throws {WrennError} `file_not_found` */
  move(
    { path: source, user }: GuestFileRef,
    destination: string,
    signal: AbortSignal,
  ): Promise<EntryInfo> {
    return this.#call(user, signal, async (options) => {
      const { entry } = await this.#connection.filesystem.move({ source, destination }, options);
      return required(entry);
    });
  }

  /** Removes a file or a whole directory. Missing is fine. */
  remove({ path, user }: GuestFileRef, signal: AbortSignal): Promise<void> {
    return this.#call(user, signal, async (options) => {
      await this.#connection.filesystem.remove({ path }, options);
    });
  }

  /**
   * Watches a directory. Resolves when the watch is in place; the events end when the signal aborts.
   *
   * @throws {WrennError} `file_not_found`, `not_directory`
   */
  async watch(
    { path, user }: GuestFileRef,
    recursive: boolean,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<FilesystemEvent, void, undefined>> {
    const stop = linkSignals(signal);
    const messages = this.#connection.filesystem.watchDir({ path, recursive }, {
      headers: userHeader(user),
      signal: stop.signal,
    })[Symbol.asyncIterator]();
    const failed = (error: unknown): WrennError =>
      this.#connection.closedBy ?? fromGuestRpc(error, "file_not_found", signal);
    const limit = setTimeout(() => stop.abort(), CALL_LIMIT_MS);
    try {
      const first = await messages.next();
      if (first.done || first.value.event.case !== "start") {
        throw new WrennError("guest_unavailable", "Guest agent did not confirm the watch");
      }
    } catch (error) {
      stop.abort();
      throw failed(error);
    } finally {
      clearTimeout(limit);
    }
    return (async function* () {
      try {
        for (let m = await messages.next(); !m.done; m = await messages.next()) {
          if (m.value.event.case === "filesystem") yield m.value.event.value;
        }
      } catch (error) {
        if (signal.aborted) throw canceled(signal);
        throw failed(error);
      } finally {
        stop.abort();
      }
    })();
  }

  async #call<T>(
    user: string,
    signal: AbortSignal,
    call: (options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(CALL_LIMIT_MS)]);
    try {
      return await call({ headers: userHeader(user), signal: limit });
    } catch (error) {
      throw this.#connection.closedBy ?? fromGuestRpc(error, "file_not_found", signal);
    }
  }
}

function required(entry: EntryInfo | undefined): EntryInfo {
  if (entry) return entry;
  throw new WrennError("guest_unavailable", "Guest agent did not describe the entry");
}
