/** Files in a sandbox: whole, as streams, and the calls of a file system. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { linkSignals, type SandboxId, WrennError } from "@wrenn/common";
import { fromAgentError } from "../hosts/agent_errors.ts";
import { type FileEntry, FileType, WatchEventType } from "@wrenn/proto/agent";
import type { AgentClient, Principal, SandboxService } from "./types.ts";

/** A path in a sandbox. */
export interface GuestFile {
  readonly id: SandboxId;
  readonly path: string;
  /** Empty = the template's default user. */
  readonly user: string;
}

/** A file being read. */
export interface FileContent {
  /** Bytes that follow. */
  readonly size: number;
  /** Pieces of at most 64 KiB; leaving the loop ends the transfer. */
  readonly data: AsyncIterable<Uint8Array>;
}

/** What is known of a path. */
export interface FileInfo {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly type: "file" | "directory" | "symlink" | "other";
  /** Bytes. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly owner: string;
  readonly group: string;
  readonly modifiedAt: Date | undefined;
  readonly symlinkTarget: string | undefined;
}

/** A change below a watched folder; `start` says that the watch is in place. */
export type WatchEvent = { readonly type: "start" } | {
  readonly type: "create" | "write" | "remove" | "rename" | "chmod";
  /** Relative to the watched folder. */
  readonly name: string;
};

const FILE_TYPES: Readonly<Record<FileType, FileInfo["type"]>> = {
  [FileType.UNSPECIFIED]: "other",
  [FileType.FILE]: "file",
  [FileType.DIRECTORY]: "directory",
  [FileType.SYMLINK]: "symlink",
};

const WATCH_TYPES = {
  [WatchEventType.CREATE]: "create",
  [WatchEventType.WRITE]: "write",
  [WatchEventType.REMOVE]: "remove",
  [WatchEventType.RENAME]: "rename",
  [WatchEventType.CHMOD]: "chmod",
} as const;

/** The use case behind every wire that moves files. Errors are WrennErrors. */
export class FileService {
  readonly #sandboxes: SandboxService;

  /** @param sandboxes Finds the sandbox and its agent. */
  constructor(sandboxes: SandboxService) {
    this.#sandboxes = sandboxes;
  }

  /**
   * Opens a file for reading. Resolves when the guest has opened it; the data flows as it is consumed.
   *
   * @param range Bytes; `length` 0 = to the end.
   * @throws {WrennError} As `SandboxService.open`, and `file_not_found`, `is_directory`, `permission_denied`,
   * `range_not_satisfiable`, `invalid_path`, `invalid_user`.
   */
  async read(
    who: Principal,
    file: GuestFile,
    range: { readonly offset: number; readonly length: number },
    signal: AbortSignal,
  ): Promise<FileContent> {
    const agent = await this.#agent(who, file);
    const offset = BigInt(range.offset);
    const length = BigInt(range.length);
    const messages = agent.readFile({ file, offset, length }, { signal })[Symbol.asyncIterator]();
    const first = await mapped(messages.next());
    if (first.done) throw new WrennError("guest_unavailable", "Guest sent no file");
    async function* data(): AsyncGenerator<Uint8Array> {
      try {
        for (let m = await mapped(messages.next()); !m.done; m = await mapped(messages.next())) {
          if (m.value.data.length > 0) yield m.value.data;
        }
      } finally {
        await messages.return?.();
      }
    }
    return { size: Number(first.value.size), data: data() };
  }

  /**
   * Writes a whole file from pieces of at most 64 KiB, as fast as the guest takes them. When `data` throws, the
   * transfer is aborted and that error is thrown.
   */
  async write(
    who: Principal,
    file: GuestFile,
    data: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ path: string; size: number }> {
    const agent = await this.#agent(who, file);
    using call = linkSignals(signal);
    let failure: { error: unknown } | undefined;
    async function* requests() {
      yield { event: { case: "start" as const, value: file } };
      try {
        for await (const value of data) yield { event: { case: "data" as const, value } };
      } catch (error) {
        failure = { error };
        call.abort();
        throw error;
      }
    }
    try {
      const done = await agent.writeFile(requests(), { signal: call.signal });
      return { path: done.path, size: Number(done.size) };
    } catch (error) {
      throw fromAgentError(failure?.error ?? error);
    } finally {
      call.abort();
    }
  }

  /** Entries below a folder, `depth` levels deep. */
  async list(who: Principal, file: GuestFile, depth: number): Promise<FileInfo[]> {
    const agent = await this.#agent(who, file);
    const { entries } = await mapped(agent.listDir({ file, depth }));
    return entries.map(toInfo);
  }

  /** What a path is. */
  async stat(who: Principal, file: GuestFile): Promise<FileInfo> {
    const agent = await this.#agent(who, file);
    return oneInfo(await mapped(agent.stat({ file })));
  }

  /** Makes a folder and the ones above it. Throws `already_exists`. */
  async mkdir(who: Principal, file: GuestFile): Promise<FileInfo> {
    const agent = await this.#agent(who, file);
    return oneInfo(await mapped(agent.makeDir({ file })));
  }

  /** Renames, replacing a file that stands there. */
  async move(who: Principal, file: GuestFile, destination: string): Promise<FileInfo> {
    const agent = await this.#agent(who, file);
    return oneInfo(await mapped(agent.move({ file, destination })));
  }

  /** Removes a file, or a folder with all below it. */
  async remove(who: Principal, file: GuestFile): Promise<void> {
    const agent = await this.#agent(who, file);
    await mapped(agent.remove({ file }));
  }

  /** Finds the agent for {@linkcode FileService.watch}. */
  async openWatch(who: Principal, id: SandboxId): Promise<AgentClient> {
    return (await this.#sandboxes.open(who, id)).agent;
  }

  /** Yields `start`, then the changes below a folder until `signal` aborts. */
  async *watch(
    agent: AgentClient,
    file: GuestFile,
    recursive: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent> {
    try {
      let started = false;
      for await (const { type, name } of agent.watchDir({ file, recursive }, { signal })) {
        if (!started) {
          started = true;
          yield { type: "start" };
        } else if (type !== WatchEventType.UNSPECIFIED) yield { type: WATCH_TYPES[type], name };
      }
    } catch (error) {
      throw fromAgentError(error);
    }
  }

  async #agent(who: Principal, file: GuestFile): Promise<AgentClient> {
    return (await this.#sandboxes.open(who, file.id)).agent;
  }
}

async function mapped<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw fromAgentError(error);
  }
}

function oneInfo({ entry }: { entry?: FileEntry | undefined }): FileInfo {
  if (!entry) throw new WrennError("guest_unavailable", "Guest sent no entry");
  return toInfo(entry);
}

function toInfo(entry: FileEntry): FileInfo {
  return {
    name: entry.name,
    path: entry.path,
    type: FILE_TYPES[entry.type] ?? "other",
    size: Number(entry.size),
    mode: entry.mode,
    owner: entry.owner,
    group: entry.group,
    modifiedAt: entry.modifiedAt ? timestampDate(entry.modifiedAt) : undefined,
    symlinkTarget: entry.symlinkTarget,
  };
}
