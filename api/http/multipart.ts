/** multipart/form-data as a stream: small fields first, then one file of any size, in constant memory. */
import { Buffer } from "node:buffer";
import { WrennError } from "@wrenn/common";
import { partName } from "../core/multipart.ts";

const HEADER_BYTES = 8 * 1024;
const FIELD_BYTES = 8 * 1024;
const PREAMBLE_BYTES = 4 * 1024;
const CRLF = Buffer.from("\r\n");
const BLANK_LINE = Buffer.from("\r\n\r\n");

/** The fields that came before the file, and the file's bytes. */
export interface Upload {
  readonly fields: ReadonlyMap<string, string>;
  /** Ends without an error only when the closing boundary has been seen. A piece is valid until the next one. */
  readonly data: AsyncIterable<Uint8Array>;
}

/**
 * Reads up to the part named `file`, which must be the last one.
 *
 * @param chunks The body; a chunk need not outlive the next one.
 * @param boundary From the content type, see `boundaryOf`.
 * @param known Names of fields that may come.
 * @throws {WrennError} `invalid_request` when the body is malformed, a field is unknown, twice or too long, or
 * there is no file. `data` throws it as well.
 */
export async function readUpload(
  chunks: AsyncIterable<Uint8Array>,
  boundary: string,
  known: readonly string[],
): Promise<Upload> {
  const scanner = new Scanner(chunks, boundary);
  const fields = new Map<string, string>();
  await scanner.preamble();
  while (await scanner.delimiter() === "part") {
    const name = partName(await scanner.headers());
    if (name === undefined) throw malformed("a part has no form-data name");
    if (name === "file") return { fields, data: fileData(scanner) };
    if (!known.includes(name)) throw malformed(`unknown field '${name.slice(0, 100)}'`);
    if (fields.has(name)) throw malformed(`field '${name}' is given twice`);
    fields.set(name, await fieldText(scanner, name));
  }
  throw malformed("part 'file' is missing");
}

async function* fileData(scanner: Scanner): AsyncGenerator<Uint8Array> {
  yield* scanner.content();
  if (await scanner.delimiter() === "part") throw malformed("part 'file' must be the last one");
}

async function fieldText(scanner: Scanner, name: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const piece of scanner.content()) {
    size += piece.length;
    if (size > FIELD_BYTES) throw malformed(`field '${name}' is longer than ${FIELD_BYTES} bytes`);
    parts.push(new Uint8Array(piece)); // a piece is valid until the next one
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts));
  } catch (cause) {
    throw new WrennError("invalid_request", `Invalid field '${name}': not UTF-8`, { cause });
  }
}

function malformed(what: string): WrennError {
  return new WrennError("invalid_request", `Invalid multipart body: ${what}`);
}

/** A window over the chunks, never larger than a chunk and one delimiter or header block. */
class Scanner {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #delimiter: Buffer;
  // The first boundary may stand at the very start, where no line break precedes it.
  #window: Buffer = CRLF;

  constructor(chunks: AsyncIterable<Uint8Array>, boundary: string) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  /** Skips what precedes the first boundary. */
  async preamble(): Promise<void> {
    let size = 0;
    for await (const piece of this.content()) {
      size += piece.length;
      if (size > PREAMBLE_BYTES) throw malformed("the boundary is missing");
    }
  }

  /** Bytes up to the next delimiter, which is consumed. */
  async *content(): AsyncGenerator<Uint8Array> {
    while (true) {
      const at = this.#window.indexOf(this.#delimiter);
      if (at >= 0) {
        const last = this.#window.subarray(0, at);
        this.#window = this.#window.subarray(at + this.#delimiter.length);
        if (last.length > 0) yield last;
        return;
      }
      const safe = this.#window.length - this.#delimiter.length + 1;
      if (safe > 0) {
        const piece = this.#window.subarray(0, safe);
        this.#window = this.#window.subarray(safe);
        yield piece;
      }
      await this.#fill();
    }
  }

  /** What follows a delimiter: another part, or the end of the body. */
  async delimiter(): Promise<"part" | "end"> {
    while (this.#window.length < 2) await this.#fill();
    if (this.#window.subarray(0, 2).toString("latin1") === "--") return "end";
    // RFC 2046 allows blanks between the boundary and its line break.
    const line = await this.#until(CRLF, 256, "boundary line");
    if (!/^[ \t]*$/.test(line)) throw malformed("text follows a boundary");
    return "part";
  }

  /** Header block of a part, without the blank line. */
  async headers(): Promise<string> {
    // A part without headers starts with the blank line itself.
    this.#window = Buffer.concat([CRLF, this.#window]);
    return (await this.#until(BLANK_LINE, HEADER_BYTES, "header")).slice(2);
  }

  async #until(mark: Buffer, limit: number, what: string): Promise<string> {
    while (true) {
      const at = this.#window.indexOf(mark);
      if (at > limit || (at < 0 && this.#window.length > limit + mark.length)) {
        throw malformed(`a ${what} is longer than ${limit} bytes`);
      }
      if (at >= 0) {
        const text = this.#window.subarray(0, at).toString("utf8");
        this.#window = this.#window.subarray(at + mark.length);
        return text;
      }
      await this.#fill();
    }
  }

  async #fill(): Promise<void> {
    // The chunk before is not valid any more once the next one is asked for.
    const rest = Buffer.from(this.#window);
    const { done, value } = await this.#chunks.next();
    if (done) throw malformed("the closing boundary is missing");
    this.#window = rest.length === 0
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : Buffer.concat([rest, value]);
  }
}
