/** File contents in and out of a guest, streamed (envd `GET /files`, `POST /files`). */
import { WrennError } from "@wrenn/common";
import type { GuestConnection } from "./connection.ts";
import { fromGuestFetch, fromGuestResponse } from "./errors.ts";
import { inPieces, UPLOAD_PIECE_BYTES } from "./pieces.ts";

/** A file in a guest; the guest resolves the path. */
export interface GuestFileRef {
  readonly path: string;
  /** Empty = the default user. */
  readonly user: string;
}

/** A part of a file on its way out. */
export interface GuestFileContent {
  /** Bytes that follow. */
  readonly size: number;
  /** Pieces of at most 64 KiB, at the reader's pace. Leaving it early ends the transfer. */
  readonly data: AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined>;
}

/** A written file. */
export interface WrittenFile {
  /** Absolute path in the guest. */
  readonly path: string;
  readonly size: number;
}

/** Content whose size the guest does not tell (files of /proc) is kept until its end, up to this many bytes. */
const UNSIZED_LIMIT = 16 * 1024 * 1024;
/** Largest answer to an upload. */
const ANSWER_LIMIT = 64 * 1024;

/** Reads and writes whole files or ranges. */
export class GuestFiles {
  readonly #connection: GuestConnection;

  /** @param connection Connection to the guest agent. */
  constructor(connection: GuestConnection) {
    this.#connection = connection;
  }

  /**
   * Opens a range of a file; `length` 0 = to the end.
   *
   * @throws {WrennError} `file_not_found`, `is_directory`, `range_not_satisfiable` and others; from the data
   * `guest_unavailable` when the transfer breaks.
   */
  async read(
    file: GuestFileRef,
    range: { offset: number; length: number },
    signal: AbortSignal,
  ): Promise<GuestFileContent> {
    const { offset, length } = range;
    const whole = offset === 0 && length === 0;
    const last = length === 0 ? "" : String(offset + length - 1);
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    let response: Response;
    try {
      response = await this.#connection.fetch(fileUrl(file), {
        headers: whole ? {} : { range: `bytes=${offset}-${last}` },
        signal: both,
      });
    } catch (error) {
      throw this.#connection.closedBy ?? fromGuestFetch(error, signal);
    }
    if (!response.ok) throw await fromGuestResponse(response);
    const chunks = this.#chunks(response, stop, signal);
    const size = Number(response.headers.get("content-length") ?? NaN);
    if (Number.isSafeInteger(size) && (whole || response.status === 206)) {
      return { size, data: inPieces(chunks) };
    }
    // Empty files have no ranges, files of /proc no size: the range is cut here.
    const all = await collect(chunks);
    if (offset > all.length) {
      throw new WrennError("range_not_satisfiable", "The range is outside the file");
    }
    const part = all.subarray(offset, length === 0 ? undefined : offset + length);
    return { size: part.length, data: inPieces(ReadableStream.from([part])) };
  }

  /**
   * Writes a file from a stream, in constant memory and at the guest's pace. Parents are created.
   *
   * @throws {WrennError} `is_directory`, `no_space`, `permission_denied` and others, and what `data` throws.
   */
  async write(
    file: GuestFileRef,
    data: AsyncIterable<Uint8Array<ArrayBuffer>>,
    signal: AbortSignal,
  ): Promise<WrittenFile> {
    const upload = new Upload(data);
    let response: Response;
    try {
      response = await this.#connection.fetch(fileUrl(file), {
        method: "POST",
        headers: { "content-type": "application/octet-stream" },
        body: upload.body,
        signal,
      });
    } catch (error) {
      throw this.#connection.closedBy ?? upload.failure ?? fromGuestFetch(error, signal);
    }
    if (!response.ok) throw await fromGuestResponse(response);
    return { path: await writtenPath(response), size: upload.size };
  }

  async *#chunks(
    response: Response,
    stop: AbortController,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    if (response.body === null) return;
    try {
      yield* response.body;
    } catch (error) {
      throw this.#connection.closedBy ?? fromGuestFetch(error, signal);
    } finally {
      stop.abort();
    }
  }
}

function fileUrl({ path, user }: GuestFileRef): string {
  const query = new URLSearchParams({ path, ...(user === "" ? {} : { username: user }) });
  return `/files?${query}`;
}

/** A request body that pulls from an iterable, counts, and remembers how the iterable failed. */
class Upload {
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  size: number = 0;
  failure: WrennError | undefined;

  constructor(data: AsyncIterable<Uint8Array<ArrayBuffer>>) {
    const iterator = inPieces(data, UPLOAD_PIECE_BYTES);
    this.body = new ReadableStream({
      pull: async (controller) => {
        try {
          const { done, value } = await iterator.next();
          if (done) return controller.close();
          this.size += value.length;
          controller.enqueue(value);
        } catch (error) {
          this.failure = error instanceof WrennError
            ? error
            : new WrennError("canceled", "Upload broke off", { cause: error });
          controller.error(this.failure);
        }
      },
      cancel: async () => {
        await iterator.return?.();
      },
    });
  }
}

async function collect(
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const all: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > UNSIZED_LIMIT) {
      throw new WrennError("guest_unavailable", "Guest agent does not tell the size of the file");
    }
    all.push(chunk);
  }
  return await new Blob(all).bytes();
}

/** The path in `[{"name","path","type"}]`. */
async function writtenPath(response: Response): Promise<string> {
  const announced = Number(response.headers.get("content-length") ?? 0);
  if (announced <= ANSWER_LIMIT) {
    const chunks: BlobPart[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > ANSWER_LIMIT) break;
      chunks.push(chunk);
    }
    const path = pathIn(await new Blob(chunks).text());
    if (path !== undefined) return path;
  } else await response.body?.cancel();
  throw new WrennError("guest_unavailable", "Guest agent did not confirm the file");
}

function pathIn(text: string): string | undefined {
  try {
    const [entry] = JSON.parse(text) as { path?: unknown }[];
    return typeof entry?.path === "string" ? entry.path : undefined;
  } catch {
    // Neither JSON nor a list: the caller says that there is no confirmation.
    return undefined;
  }
}
