/** Output of a process as text where it is text: characters cut in two by a chunk's end stay whole. */

/** A piece ready for JSON: `data` is text, or base64 when the bytes are not UTF-8. */
export interface TextPiece {
  readonly data: string;
  readonly encoding: "utf-8" | "base64";
}

/** Bytes as text, or as base64 when they are not UTF-8. */
export function toTextPiece(bytes: Uint8Array): TextPiece {
  const text = decode(bytes);
  return text === undefined
    ? { data: bytes.toBase64(), encoding: "base64" }
    : { data: text, encoding: "utf-8" };
}

/**
 * Splits a byte stream at character borders. An incomplete character at the end of a chunk (at most 3
 * bytes) waits for the next chunk; concatenating all decoded pieces gives the stream byte for byte.
 */
export class Utf8Splitter {
  #tail: Uint8Array = new Uint8Array(0);

  /** The pieces that a chunk completes: none or one. */
  push(chunk: Uint8Array): TextPiece | undefined {
    const bytes = this.#tail.length === 0 ? chunk : join(this.#tail, chunk);
    const cut = bytes.length - incompleteTail(bytes);
    this.#tail = bytes.slice(cut);
    return cut === 0 ? undefined : toTextPiece(bytes.subarray(0, cut));
  }

  /** What still waits when the stream has ended. */
  end(): TextPiece | undefined {
    const rest = this.#tail;
    this.#tail = new Uint8Array(0);
    return rest.length === 0 ? undefined : toTextPiece(rest);
  }
}

/** Length of the unfinished character at the end, 0 to 3 bytes. */
function incompleteTail(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) {
      if (byte > 0xf4) return 0; // starts no character
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? back : 0;
    }
  }
  return 0;
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
