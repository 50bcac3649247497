/** Cursors of lists: opaque to clients, the position of the last row to us. */
import { WrennError } from "@wrenn/common";

/** Where a page ended: newest first, ties broken by id. */
export interface Position {
  /** Microseconds since the epoch, as the database counts them. */
  readonly createdAtUs: bigint;
  /** Of a sandbox or a snapshot. */
  readonly id: string;
}

const FORM = /^1\.(\d{1,17})\.(sb-[0-9a-f]{8}|snap-[0-9a-f]{16})$/;

/** The cursor of a position: base64url. */
export function encodeCursor({ createdAtUs, id }: Position): string {
  return new TextEncoder().encode(`1.${createdAtUs}.${id}`)
    .toBase64({ alphabet: "base64url", omitPadding: true });
}

/** @throws {WrennError} `invalid_request` for a text that no list gave out. */
export function decodeCursor(text: string): Position {
  const match = FORM.exec(decodeText(text) ?? "");
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new WrennError("invalid_request", "Cursor is not one that a list gave out");
  }
  return { createdAtUs: BigInt(match[1]), id: match[2] };
}

function decodeText(text: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true })
      .decode(Uint8Array.fromBase64(text, { alphabet: "base64url" }));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}
