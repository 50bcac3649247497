/**
 * The end of what a process writes to a named pipe. The pipe holds 64 KiB and the process is not held up by it: what
 * is too much is lost, on the host's disk nothing grows. It outlives an agent, and the next one reads on.
 */
import { closeFd, makeNode, openPipe, readPipe } from "./libc_files.ts";

/** Bytes that a pipe holds. */
const PIPE_BYTES = 65536;

/** Makes the pipe, mode 0600. @throws {Error} Also when something is there already. */
export function makePipe(path: string): void {
  makeNode(path, "pipe");
}

/** One reader. */
export class PipeTail implements Disposable {
  readonly #fd: number;
  readonly #keep: number;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array();
  #closed = false;

  /** @param path Of a named pipe. @param keep Bytes that are kept. @throws {Error} */
  constructor(path: string, keep: number = PIPE_BYTES) {
    this.#fd = openPipe(path);
    this.#keep = keep;
  }

  /** Takes what is in the pipe, at most what it holds. Does nothing once closed. */
  drain(): void {
    if (this.#closed) return;
    const buffer = new Uint8Array(PIPE_BYTES);
    const count = readPipe(this.#fd, buffer);
    if (count === 0) return;
    const both = new Uint8Array(this.#bytes.length + count);
    both.set(this.#bytes);
    both.set(buffer.subarray(0, count), this.#bytes.length);
    this.#bytes = both.slice(-this.#keep);
  }

  /** What was last written. */
  get text(): string {
    return new TextDecoder().decode(this.#bytes);
  }

  /** Closes the pipe; {@linkcode text} stays. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }
}
