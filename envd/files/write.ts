/** Streaming a body into a file in constant memory. */
import { WrennError } from "@wrenn/common/errors";
import type { User } from "../core/user_db.ts";
import { writeMetadata } from "../linux/xattr.ts";
import { createFile } from "./create.ts";
import { fileError } from "./file_error.ts";

/** Pieces are gathered up to this size before they are written, in bytes. */
const BUFFER_BYTES = 256 * 1024;

/** Gathers pieces into large writes. */
export class FileWriter {
  readonly #file: Deno.FsFile;
  readonly #path: string;
  readonly #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(BUFFER_BYTES);
  #used = 0;
  #closed = false;

  /** @param file Open file; the writer closes it. @param path For messages. */
  constructor(file: Deno.FsFile, path: string) {
    this.#file = file;
    this.#path = path;
  }

  /** Makes the file and a writer into it. @throws {WrennError} As `createFile`. */
  static async create(path: string, user: User): Promise<FileWriter> {
    return new FileWriter(await createFile(path, user), path);
  }

  /** Takes a piece; its memory is free afterwards. @throws {WrennError} `no_space`, ... */
  async write(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    if (piece.length >= BUFFER_BYTES) {
      await this.#flush();
      await this.#writeAll(piece);
      return;
    }
    if (this.#used + piece.length > BUFFER_BYTES) await this.#flush();
    this.#buffer.set(piece, this.#used);
    this.#used += piece.length;
  }

  /** Writes what waits, stores the metadata and closes. @throws {WrennError} `no_space`, ... */
  async finish(metadata: Record<string, string> | undefined): Promise<void> {
    try {
      await this.#flush();
      try {
        writeMetadata(this.#path, metadata ?? {});
      } catch (error) {
        throw fileError(error, this.#path);
      }
    } finally {
      this.abandon();
    }
  }

  /** Closes without writing more; what was written stays. */
  abandon(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
  }

  async #flush(): Promise<void> {
    const used = this.#used;
    this.#used = 0;
    if (used > 0) await this.#writeAll(this.#buffer.subarray(0, used));
  }

  async #writeAll(data: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      for (let at = 0; at < data.length;) at += await this.#file.write(data.subarray(at));
    } catch (error) {
      throw fileError(error, this.#path);
    }
  }
}

/**
 * Writes a whole stream. A file that could not be written to its end stays as far as it came, and the
 * error says so.
 *
 * @throws {WrennError} `no_space`, `invalid_request` when the body breaks off or is not what it says.
 */
export async function writeStream(
  path: string,
  user: User,
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  metadata: Record<string, string> | undefined,
): Promise<void> {
  const writer = await FileWriter.create(path, user);
  try {
    if (body) { for await (const piece of body) await writer.write(piece); }
    await writer.finish(metadata);
  } catch (error) {
    throw incomplete(error, path);
  } finally {
    writer.abandon();
  }
}

/** The error for a transfer that broke off in the middle of a file. */
export function incomplete(error: unknown, path: string): WrennError {
  const code = error instanceof WrennError ? error.code : "invalid_request";
  const why = error instanceof WrennError ? error.message : "the body broke off or is damaged";
  return new WrennError(code, `Cannot write '${path}' to its end, it is incomplete: ${why}`, {
    cause: error,
  });
}
