/** A file or directory as E2B's clients see it. */
import { baseName } from "../core/paths.ts";
import { permissionText } from "../core/mode.ts";
import type { UserTable } from "../core/user_db.ts";
import { readMetadata } from "../linux/xattr.ts";
import { fileError } from "./file_error.ts";

/** What is known of one path. */
export interface Entry {
  /** Last component. */
  name: string;
  /** Absolute path. */
  path: string;
  /** Kind of what is there, links followed; a link to nowhere is a symlink. */
  type: "file" | "directory" | "symlink" | "other";
  /** True when the path itself is a link, whatever it leads to. */
  isLink: boolean;
  /** Size in bytes, of the link itself for links. */
  size: number;
  /** Permission bits, 0 to 0o777. */
  mode: number;
  /** Like `-rw-r--r--`. */
  permissions: string;
  /** Name of the owner, or the id. */
  owner: string;
  /** Name of the group, or the id. */
  group: string;
  /** Time of the last change, milliseconds since the epoch. */
  modifiedMs: number;
  /** Where a link leads: its real path, or its text when it leads nowhere. */
  symlinkTarget: string | undefined;
  /** `user.e2b.*` attributes. */
  metadata: Record<string, string>;
}

/** Reads one entry. @throws {WrennError} `file_not_found`, `not_directory`, ... */
export async function readEntry(path: string, table: UserTable): Promise<Entry> {
  try {
    const info = await Deno.lstat(path);
    const mode = info.mode ?? 0;
    const link = info.isSymlink ? await followLink(path) : undefined;
    return {
      name: baseName(path),
      path,
      type: kindOf(link ? link.info ?? info : info),
      isLink: info.isSymlink,
      size: info.size,
      mode: mode & 0o777,
      permissions: permissionText(mode),
      owner: table.ownerName(info.uid ?? 0),
      group: table.groupName(info.gid ?? 0),
      modifiedMs: info.mtime?.getTime() ?? 0,
      symlinkTarget: link?.target,
      // Links to nowhere and special files have none.
      metadata: info.isFile || info.isDirectory ? readMetadata(path) : {},
    };
  } catch (error) {
    throw fileError(error, path);
  }
}

function kindOf(info: Deno.FileInfo): Entry["type"] {
  if (info.isFile) return "file";
  if (info.isDirectory) return "directory";
  return info.isSymlink ? "symlink" : "other";
}

async function followLink(
  path: string,
): Promise<{ target: string; info: Deno.FileInfo | undefined }> {
  try {
    const [target, info] = await Promise.all([Deno.realPath(path), Deno.stat(path)]);
    return { target, info };
  } catch {
    return { target: await Deno.readLink(path), info: undefined };
  }
}
