/** Moving and removing. */
import { WrennError } from "@wrenn/common/errors";
import { parentOf } from "../core/paths.ts";
import type { User } from "../core/user_db.ts";
import { makeDirectories } from "./create.ts";
import { errnoName, fileError } from "./file_error.ts";

/**
 * Renames, making the destination's directories; across file systems it copies and removes.
 *
 * @throws {WrennError} `file_not_found`, `conflict`, `is_directory`, `no_space`, ...
 */
export async function movePath(source: string, destination: string, user: User): Promise<void> {
  try {
    await Deno.lstat(source);
  } catch (error) {
    throw fileError(error, source);
  }
  await makeDirectories(parentOf(destination), user);
  try {
    await Deno.rename(source, destination);
  } catch (error) {
    if (errnoName(error) !== "EXDEV") throw fileError(error, destination);
    await copyAndRemove(source, destination);
  }
}

/** `mv` keeps owners, times, links and attributes, which no call of ours copies in one piece. */
async function copyAndRemove(source: string, destination: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("mv", {
    args: ["-f", "-T", source, destination],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  const why = new TextDecoder().decode(stderr).trim().split("\n")[0] ?? "";
  throw new WrennError(
    /no space left/i.test(why) ? "no_space" : "conflict",
    `Cannot move '${source}' to another file system: ${why}`,
  );
}

/**
 * Removes a path with all below it; a missing one is fine.
 *
 * @throws {WrennError} `invalid_path` for the root, `permission_denied`, `conflict` for mount points.
 */
export async function removePath(path: string): Promise<void> {
  if (path === "/") throw new WrennError("invalid_path", "Cannot remove the root directory");
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    const name = errnoName(error);
    if (name === "ENOENT" || name === "ENOTDIR") return;
    throw fileError(error, path);
  }
}
