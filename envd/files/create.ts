/** Making directories and files that belong to a user. */
import { WrennError } from "@wrenn/common/errors";
import { parentOf } from "../core/paths.ts";
import type { User } from "../core/user_db.ts";
import { errnoName, fileError } from "./file_error.ts";

/**
 * Makes a directory with all that lacks above it, each owned by the user, mode 0755. Existing ones stay
 * as they are.
 *
 * @returns True when the directory itself was made.
 * @throws {WrennError} `not_directory` when a part of the path is a file, `no_space`, ...
 */
export async function makeDirectories(path: string, user: User): Promise<boolean> {
  try {
    return await makeOne(path, user);
  } catch (error) {
    if (errnoName(error) !== "ENOENT" || path === "/") throw fileError(error, path);
  }
  await makeDirectories(parentOf(path), user);
  try {
    return await makeOne(path, user);
  } catch (error) {
    throw fileError(error, path);
  }
}

async function makeOne(path: string, user: User): Promise<boolean> {
  try {
    await Deno.mkdir(path, { mode: 0o755 });
  } catch (error) {
    if (errnoName(error) !== "EEXIST") throw error;
    const info = await Deno.stat(path);
    if (info.isDirectory) return false;
    throw new WrennError("not_directory", `path '${path}' is not a directory`, { cause: error });
  }
  await Deno.chown(path, user.uid, user.gid);
  return true;
}

/**
 * Opens a file for writing from its beginning, makes it and its directories when they lack, and gives
 * it to the user. Only regular files: a pipe or a device would block or do harm.
 *
 * @throws {WrennError} `is_directory`, `invalid_path`, `no_space`, ...
 */
export async function createFile(path: string, user: User): Promise<Deno.FsFile> {
  const existing = await statIfPresent(path);
  if (existing?.isDirectory) {
    throw new WrennError("is_directory", `path '${path}' is a directory`);
  }
  if (existing && !existing.isFile) {
    throw new WrennError("invalid_path", `path '${path}' is not a regular file`);
  }
  if (!existing) await makeDirectories(parentOf(path), user);
  let file: Deno.FsFile | undefined;
  try {
    file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o666 });
    await Deno.chown(path, user.uid, user.gid);
    return file;
  } catch (error) {
    file?.close();
    throw fileError(error, path);
  }
}

/** What is at the path, links followed; undefined when there is nothing. */
export async function statIfPresent(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (errnoName(error) === "ENOENT") return undefined;
    throw fileError(error, path);
  }
}
