/** Byte ranges and conditional requests for a file (RFC 9110, sections 13 and 14). */

/** Part of a file: `end` is exclusive. */
export interface ByteRange {
  /** First byte. */
  start: number;
  /** One past the last byte. */
  end: number;
}

/**
 * The part that a `Range` header asks for. Undefined means the whole file: no header, a unit or a
 * syntax we do not know, or several ranges. `unsatisfiable` means 416.
 */
export function parseRange(
  header: string | null,
  size: number,
): ByteRange | "unsatisfiable" | undefined {
  const match = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (!match || (first === "" && last === "")) return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  if (last !== "" && Number(last) < start) return undefined;
  return start >= size ? "unsatisfiable" : { start, end };
}

/** True when the client's copy is as new as the file: `If-Modified-Since`, in whole seconds. */
export function isNotModified(header: string | null, modifiedMs: number): boolean {
  const since = header === null ? NaN : Date.parse(header);
  return !Number.isNaN(since) && Math.floor(modifiedMs / 1000) * 1000 <= since;
}

/** False when `If-Range` names another state of the file: the whole file is the answer then. */
export function rangeApplies(header: string | null, modifiedMs: number): boolean {
  if (header === null) return true;
  const date = Date.parse(header);
  return !Number.isNaN(date) && Math.floor(modifiedMs / 1000) * 1000 === date;
}
