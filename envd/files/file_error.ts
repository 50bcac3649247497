/** What the operating system says about files, in the platform's codes. */
import { WrennError } from "@wrenn/common/errors";
import { LibcError } from "../linux/libc.ts";

const BY_ERRNO: Readonly<Record<string, [WrennError["code"], string]>> = {
  ENOENT: ["file_not_found", "does not exist"],
  ENOTDIR: ["not_directory", "has a part that is not a directory"],
  EISDIR: ["is_directory", "is a directory"],
  EEXIST: ["already_exists", "already exists"],
  ENOTEMPTY: ["conflict", "is a directory that is not empty"],
  EACCES: ["permission_denied", "cannot be accessed: permission denied"],
  EPERM: ["permission_denied", "cannot be changed: operation not permitted"],
  EROFS: ["permission_denied", "is on a read-only file system"],
  ENAMETOOLONG: ["invalid_path", "is too long"],
  ELOOP: ["invalid_path", "has too many symbolic links"],
  EINVAL: ["invalid_path", "cannot be used that way"],
  EXDEV: ["invalid_path", "is on another file system"],
  EIO: ["invalid_path", "cannot be read there"],
  ENXIO: ["invalid_path", "is not a regular file"],
  ENODEV: ["invalid_path", "is not a regular file"],
  ESPIPE: ["invalid_path", "is not a regular file"],
  ETXTBSY: ["conflict", "is a program that runs"],
  EBUSY: ["conflict", "is in use"],
  ENOSPC: ["no_space", "cannot be written: no space left on device"],
  EDQUOT: ["no_space", "cannot be written: disk quota exceeded"],
  EFBIG: ["no_space", "cannot be written: file too large"],
  EMFILE: ["too_many_requests", "cannot be opened: too many open files"],
  ENFILE: ["too_many_requests", "cannot be opened: too many open files"],
  EOPNOTSUPP: ["invalid_request", "is on a file system that does not support this"],
};
const NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  13: "EACCES",
  20: "ENOTDIR",
  22: "EINVAL",
  28: "ENOSPC",
  30: "EROFS",
  36: "ENAMETOOLONG",
  40: "ELOOP",
  95: "EOPNOTSUPP",
  122: "EDQUOT",
};

/**
 * A WrennError for a failed file operation. What is none passes as it is; what is unknown is internal.
 *
 * @param error What was thrown. @param path Path as the caller knows it.
 */
export function fileError(error: unknown, path?: string): WrennError {
  if (error instanceof WrennError) return error;
  const name = errnoName(error);
  const known = name === undefined ? undefined : BY_ERRNO[name];
  if (!known) return WrennError.from(error);
  const subject = path === undefined ? "path" : `path '${path}'`;
  return new WrennError(known[0], `${subject} ${known[1]}`, { cause: error });
}

/** The name of the error number behind an error of Deno or of the C library. */
export function errnoName(error: unknown): string | undefined {
  if (error instanceof LibcError) return NAMES[error.errno];
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}
