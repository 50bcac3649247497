/** A full disk, in whatever way it shows. */
import { WrennError } from "@wrenn/common";

/** The error of a full disk. */
export function noSpace(cause?: unknown): WrennError {
  return new WrennError("no_space", "No disk space left on this host", { cause });
}

/** The error of a full disk for one of its signs, any other error as it is. */
export function spaceError(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return code === "ENOSPC" || code === "EDQUOT" ? noSpace(error) : error;
}
