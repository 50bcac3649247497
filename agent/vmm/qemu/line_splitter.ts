/** Cuts a byte stream into lines. */

/** A line longer than the limit. */
export class LineTooLongError extends Error {
  /** Always `LineTooLongError`. */
  override readonly name: string = "LineTooLongError";
}

/** Collects bytes and gives whole lines as UTF-8 text, without their line ends (`\n` or `\r\n`). */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder();
  #parts: Uint8Array[] = [];
  #held = 0;

  /** @param maxBytes Longest line that is accepted, in bytes. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes a chunk and gives the lines that it ends. The chunk may be reused by the caller afterwards.
   *
   * @throws {LineTooLongError} When a line is longer than the limit, ended or not.
   */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#hold(chunk.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk.slice(start));
    return lines;
  }

  #hold(part: Uint8Array): void {
    this.#held += part.length;
    if (this.#held > this.#maxBytes) {
      throw new LineTooLongError(`A line is longer than ${this.#maxBytes} bytes`);
    }
    this.#parts.push(part);
  }

  #take(): string {
    const line = new Uint8Array(this.#held);
    let at = 0;
    for (const part of this.#parts) {
      line.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#held = 0;
    return this.#decoder.decode(line.at(-1) === 13 ? line.subarray(0, -1) : line);
  }
}
