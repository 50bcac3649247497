/** Opening a file for a download, and its bytes as a stream. */
import { WrennError } from "@wrenn/common/errors";
import { fileError } from "./file_error.ts";

/** Size of one piece, in bytes. */
const PIECE_BYTES = 256 * 1024;
/** First piece of a file that says it is empty: virtual files (procfs, sysfs) do. */
const PROBE_BYTES = 64 * 1024;

/** Virtual files that call themselves regular and wait for what the kernel may say some day. */
const ENDLESS = /^\/proc\/kmsg$|\/trace_pipe(_raw)?$/;

/** A regular file that was opened. */
export interface OpenFile {
  /** Handle; {@linkcode fileBody} closes it. */
  file: Deno.FsFile;
  /** Size in bytes; undefined when only reading can tell. */
  size: number | undefined;
  /** First bytes, read already; only when the size is not known. */
  head: Uint8Array<ArrayBuffer> | undefined;
  /** Time of the last change, milliseconds since the epoch. */
  modifiedMs: number;
}

/**
 * Opens a regular file.
 *
 * @throws {WrennError} `file_not_found`, `is_directory`, `invalid_path` for pipes, sockets and devices.
 */
export async function openFile(path: string): Promise<OpenFile> {
  try {
    const info = await Deno.stat(path);
    if (info.isDirectory) throw new WrennError("is_directory", `path '${path}' is a directory`);
    // Looked at before it is opened: opening a pipe waits for its other end.
    if (!info.isFile) {
      throw new WrennError("invalid_path", `path '${path}' is not a regular file`);
    }
    if (info.size === 0 && ENDLESS.test(await Deno.realPath(path))) {
      throw new WrennError("invalid_path", `path '${path}' has no end`);
    }
    const file = await Deno.open(path);
    try {
      const { size, mtime } = await file.stat();
      const modifiedMs = mtime?.getTime() ?? 0;
      if (size > 0) return { file, size, head: undefined, modifiedMs };
      const probe = new Uint8Array(PROBE_BYTES);
      const count = await file.read(probe);
      return count === null
        ? { file, size: 0, head: undefined, modifiedMs }
        : { file, size: undefined, head: probe.subarray(0, count), modifiedMs };
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (error) {
    throw fileError(error, path);
  }
}

/**
 * The bytes from `start` on: `length` of them, or to the end when undefined. The stream breaks with an
 * error when the file has become shorter than promised.
 */
export function fileBody(
  opened: OpenFile,
  start: number,
  length: number | undefined,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { file } = opened;
  let { head } = opened;
  let left = length ?? Infinity;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async start(): Promise<void> {
      if (start > 0) await file.seek(start, Deno.SeekMode.Start);
    },
    async pull(controller): Promise<void> {
      try {
        const piece = head ?? await nextPiece(file, left);
        head = undefined;
        if (piece) {
          left -= piece.length;
          controller.enqueue(piece);
        } else if (left > 0 && length !== undefined) {
          throw new Error("The file became shorter while it was read");
        }
        if (!piece || left === 0) {
          file.close();
          controller.close();
        }
      } catch (error) {
        file.close();
        controller.error(error);
      }
    },
    cancel(): void {
      file.close();
    },
  }, { highWaterMark: 0 });
}

async function nextPiece(
  file: Deno.FsFile,
  left: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (left === 0) return undefined;
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, left));
  const count = await file.read(buffer);
  return count === null ? undefined : buffer.subarray(0, count);
}
