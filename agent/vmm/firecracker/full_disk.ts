/** A full disk, as Firecracker and the programs that copy its files tell it. */
import { CommandError } from "@wrenn/common";
import { noSpace, spaceError } from "../../snapshot/space.ts";
import { FirecrackerError } from "./firecracker_error.ts";

/** The error of a full disk for one of its signs, any other error as it is. */
export function fullDisk(error: unknown): unknown {
  return /no space left on device|disk quota exceeded/i.test(said(error))
    ? noSpace(error)
    : spaceError(error);
}

function said(error: unknown): string {
  if (error instanceof FirecrackerError) return error.fault ?? "";
  return error instanceof CommandError ? error.result.stderr : "";
}
