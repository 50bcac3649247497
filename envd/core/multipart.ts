/** A push parser for `multipart/form-data` (RFC 7578) that holds no more than one chunk and one boundary. */
import { WrennError } from "@wrenn/common/errors";

/** What the parser found. */
export type MultipartEvent =
  | { kind: "part"; name: string; filename: string | undefined }
  | { kind: "data"; data: Uint8Array<ArrayBuffer> }
  | { kind: "end" };

const MAX_HEADER_BYTES = 16 * 1024;
const MAX_PARTS = 10_000;
const CRLF2 = new Uint8Array([13, 10, 13, 10]);
const EMPTY = new Uint8Array(0);

/**
 * The boundary of a `Content-Type` header.
 *
 * @throws {WrennError} `invalid_request` when there is none.
 */
export function multipartBoundary(contentType: string): string {
  const match = /;\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) throw broken("the boundary is missing");
  return boundary;
}

/** Parser of one body. Feed chunks in order, then call {@linkcode MultipartParser.finish}. */
export class MultipartParser {
  readonly #delimiter: Uint8Array<ArrayBuffer>;
  readonly #find: (data: Uint8Array, from: number) => number;
  #state: "preamble" | "after" | "headers" | "body" | "done" = "preamble";
  #rest: Uint8Array<ArrayBuffer>;
  #parts = 0;

  /** @param boundary As the header gives it. */
  constructor(boundary: string) {
    this.#delimiter = new TextEncoder().encode(`\r\n--${boundary}`);
    this.#find = finder(this.#delimiter);
    // The first delimiter has no line before it when there is no preamble.
    this.#rest = new Uint8Array([13, 10]);
  }

  /**
   * Events in the order of the body. Data events may share memory with the chunk.
   *
   * @throws {WrennError} `invalid_request` for a malformed body.
   */
  *feed(chunk: Uint8Array<ArrayBuffer>): Generator<MultipartEvent> {
    let data = this.#rest.length === 0 ? chunk : joined(this.#rest, chunk);
    this.#rest = EMPTY;
    while (this.#state !== "done") {
      const step = this.#step(data);
      if (step.event) yield step.event;
      data = data.subarray(step.used);
      if (step.more) {
        // Copied: the caller may use the chunk's memory again.
        this.#rest = data.slice();
        return;
      }
    }
  }

  /** Checks that the body was whole. @throws {WrennError} `invalid_request`. */
  finish(): void {
    if (this.#state !== "done") throw broken("it ends too early");
  }

  #step(data: Uint8Array<ArrayBuffer>): { used: number; more?: boolean; event?: MultipartEvent } {
    switch (this.#state) {
      case "preamble": {
        const at = this.#find(data, 0);
        if (at < 0) return { used: this.#safe(data), more: true };
        this.#state = "after";
        return { used: at + this.#delimiter.length };
      }
      case "after":
        return this.#afterDelimiter(data);
      case "headers":
        return this.#headers(data);
      default:
        return this.#body(data);
    }
  }

  #afterDelimiter(data: Uint8Array<ArrayBuffer>): { used: number; more?: boolean } {
    let at = 0;
    while (data[at] === 32 || data[at] === 9) at++;
    if (at > MAX_HEADER_BYTES) throw broken("a boundary line is too long");
    if (data.length < at + 2) return { used: 0, more: true };
    if (data[at] === 45 && data[at + 1] === 45) this.#state = "done";
    else if (data[at] === 13 && data[at + 1] === 10) this.#state = "headers";
    else throw broken("a boundary is followed by other text");
    // The line end stays: a part without headers begins with the empty line itself.
    return { used: at };
  }

  #headers(
    data: Uint8Array<ArrayBuffer>,
  ): { used: number; more?: boolean; event?: MultipartEvent } {
    const at = findCrlf2(data);
    if (at < 0) {
      if (data.length > MAX_HEADER_BYTES) throw broken("a part's headers are too long");
      return { used: 0, more: true };
    }
    if (++this.#parts > MAX_PARTS) throw broken("it has too many parts");
    this.#state = "body";
    const disposition = dispositionOf(new TextDecoder().decode(data.subarray(0, at)));
    return { used: at + 4, event: { kind: "part", ...disposition } };
  }

  #body(data: Uint8Array<ArrayBuffer>): { used: number; more?: boolean; event?: MultipartEvent } {
    const at = this.#find(data, 0);
    if (at === 0) {
      this.#state = "after";
      return { used: this.#delimiter.length, event: { kind: "end" } };
    }
    const end = at < 0 ? this.#safe(data) : at;
    if (end === 0) return { used: 0, more: true };
    return { used: end, event: { kind: "data", data: data.subarray(0, end) }, more: at < 0 };
  }

  /** How much of the data cannot be the beginning of a delimiter. */
  #safe(data: Uint8Array): number {
    let keep = Math.min(this.#delimiter.length - 1, data.length);
    while (keep > 0 && !startsLike(data, data.length - keep, this.#delimiter)) keep--;
    return data.length - keep;
  }
}

/** Name and file name of a part's headers; the file name keeps its slashes. */
function dispositionOf(headers: string): { name: string; filename: string | undefined } {
  const line = headers.split("\r\n").find((text) => /^content-disposition\s*:/i.test(text));
  if (line === undefined) return { name: "", filename: undefined };
  const parameter = (name: string): string | undefined => {
    const match = new RegExp(`;\\s*${name}\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^;\\s]*))`, "i")
      .exec(line);
    return match?.[1]?.replaceAll(/\\(["\\])/g, "$1") ?? match?.[2];
  };
  const extended = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(line)?.[1];
  return { name: parameter("name") ?? "", filename: decoded(extended) ?? parameter("filename") };
}

function decoded(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw broken("a file name is not well encoded");
  }
}

/** Boyer-Moore-Horspool search for one needle. */
function finder(needle: Uint8Array): (data: Uint8Array, from: number) => number {
  const last = needle.length - 1;
  const skip = new Uint16Array(256).fill(needle.length);
  for (let i = 0; i < last; i++) skip[needle[i] ?? 0] = last - i;
  return (data, from) => {
    const end = data.length - needle.length;
    for (let at = from; at <= end;) {
      let i = last;
      while (i >= 0 && data[at + i] === needle[i]) i--;
      if (i < 0) return at;
      at += skip[data[at + last] ?? 0] ?? 1;
    }
    return -1;
  };
}

const findCrlf2 = (data: Uint8Array): number => finder(CRLF2)(data, 0);

function startsLike(data: Uint8Array, from: number, needle: Uint8Array): boolean {
  for (let i = from; i < data.length; i++) if (data[i] !== needle[i - from]) return false;
  return true;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function broken(why: string): WrennError {
  return new WrennError("invalid_request", `Malformed multipart body: ${why}`);
}
