/** Listing a directory to a depth. */
import { WrennError } from "@wrenn/common/errors";
import { joinPath } from "../core/paths.ts";
import type { UserTable } from "../core/user_db.ts";
import { type Entry, readEntry } from "./entry.ts";
import { errnoName, fileError } from "./file_error.ts";

/** Entries of one answer; more do not fit in a message. */
const MAX_ENTRIES = 100_000;
/** Entries that are read at once. */
const BATCH = 32;

/**
 * Everything under a directory down to `depth` levels, parents before children, the directory itself
 * left out. Links are listed and not followed, but the directory may be one.
 *
 * @throws {WrennError} `file_not_found`, `not_directory`, `payload_too_large`.
 */
export async function listDirectory(
  path: string,
  depth: number,
  table: UserTable,
): Promise<Entry[]> {
  try {
    if (!(await Deno.stat(path)).isDirectory) {
      throw new WrennError("not_directory", `path '${path}' is not a directory`);
    }
  } catch (error) {
    throw fileError(error, path);
  }
  const found: Entry[] = [];
  await walk(path, Math.max(1, depth), table, found);
  return found;
}

async function walk(
  directory: string,
  depth: number,
  table: UserTable,
  found: Entry[],
): Promise<void> {
  const names = await readNames(directory);
  for (let at = 0; at < names.length; at += BATCH) {
    const entries = await Promise.all(
      names.slice(at, at + BATCH).map((name) => entryIfPresent(joinPath(directory, name), table)),
    );
    for (const entry of entries) {
      if (!entry) continue;
      if (found.length >= MAX_ENTRIES) {
        throw new WrennError("payload_too_large", `More than ${MAX_ENTRIES} entries: lower depth`);
      }
      found.push(entry);
      if (depth > 1 && entry.type === "directory" && !entry.isLink) {
        await walk(entry.path, depth - 1, table, found);
      }
    }
  }
}

async function readNames(directory: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(directory), ({ name }) => name)).sort();
  } catch (error) {
    if (errnoName(error) === "ENOENT") return []; // removed while it was listed
    throw fileError(error, directory);
  }
}

async function entryIfPresent(path: string, table: UserTable): Promise<Entry | undefined> {
  try {
    return await readEntry(path, table);
  } catch (error) {
    if (error instanceof WrennError && error.code === "file_not_found") return undefined;
    throw error;
  }
}
