/** What the file calls say about a file. */
import { number } from "./core/exec_messages.ts";
import { WrennError } from "./errors.ts";

/** Kind of a file. */
export type FileType = "file" | "directory" | "symlink" | "other";

/**
 * One entry of a sandbox's file system.
 *
 * @example
 * ```ts
 * import type { FileInfo } from "@wrenn/sdk";
 *
 * const isLarge = (file: FileInfo) => file.type === "file" && file.size > 1e9;
 * ```
 */
export interface FileInfo {
  /** Last component of the path. */
  readonly name: string;
  /** Absolute path in the sandbox. */
  readonly path: string;
  /** Kind. */
  readonly type: FileType;
  /** Bytes. */
  readonly size: number;
  /** Permission bits, such as 0o644. */
  readonly mode: number;
  /** Name of the owner. */
  readonly owner: string;
  /** Name of the group. */
  readonly group: string;
  /** When the content last changed, where the file system knows. */
  readonly modifiedAt?: Date;
  /** Where a symbolic link leads. */
  readonly symlinkTarget?: string;
}

/** Reads an entry as the platform sends it. */
export function readFileInfo(value: unknown): FileInfo {
  if (typeof value !== "object" || value === null) throw malformed();
  const fields = value as Record<string, unknown>;
  const { name, path, type, owner, group, modified_at, symlink_target } = fields;
  if (typeof name !== "string" || typeof path !== "string") throw malformed();
  return {
    name,
    path,
    type: type === "file" || type === "directory" || type === "symlink" ? type : "other",
    size: number(fields, "size"),
    mode: number(fields, "mode"),
    owner: String(owner ?? ""),
    group: String(group ?? ""),
    ...(typeof modified_at === "string" ? { modifiedAt: new Date(modified_at) } : {}),
    ...(typeof symlink_target === "string" ? { symlinkTarget: symlink_target } : {}),
  };
}

function malformed(): WrennError {
  return new WrennError("invalid_response", "The platform's answer is not a file entry");
}
