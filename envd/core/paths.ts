/** How a path of a request becomes an absolute path (E2B `internal/permissions/path.go`). */
import { WrennError } from "@wrenn/common/errors";

/** Longest path Linux takes, in bytes, without its NUL (`PATH_MAX`). */
export const PATH_MAX = 4095;
/** Longest file name, in bytes (`NAME_MAX`). */
export const NAME_MAX = 255;

/**
 * Absolute as is; `~` and `~/x` in the home; relative in the home; empty is the default working
 * directory, or the home when there is none.
 *
 * @throws {WrennError} `invalid_path` for NUL bytes, `~name` and over-long paths.
 */
export function resolvePath(path: string, home: string, workdir?: string): string {
  if (path.includes("\0")) throw new WrennError("invalid_path", "Path contains a NUL byte");
  const resolved = normalize(expand(path, home, workdir));
  const encoder = new TextEncoder();
  if (encoder.encode(resolved).length > PATH_MAX) {
    throw new WrennError("invalid_path", `Path is longer than ${PATH_MAX} bytes`);
  }
  if (resolved.split("/").some((name) => encoder.encode(name).length > NAME_MAX)) {
    throw new WrennError("invalid_path", `Path has a name longer than ${NAME_MAX} bytes`);
  }
  return resolved;
}

/** Absolute path without `.`, `..`, doubled and trailing slashes. */
export function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** Last component; `/` for the root. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1) || "/";
}

/** Everything above the last component. */
export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** Joins a directory and a name. */
export function joinPath(directory: string, name: string): string {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}

function expand(path: string, home: string, workdir: string | undefined): string {
  if (path === "") return workdir || home;
  if (path.startsWith("/")) return path;
  if (path === "~" || path.startsWith("~/")) return `${home}${path.slice(1)}`;
  if (path.startsWith("~")) {
    throw new WrennError("invalid_path", `Cannot expand '${path}': only '~' and '~/' are known`);
  }
  return `${home}/${path}`;
}
