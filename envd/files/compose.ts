/** Joining uploaded pieces into one file. */
import { WrennError } from "@wrenn/common/errors";
import { baseName, joinPath, parentOf } from "../core/paths.ts";
import type { User } from "../core/user_db.ts";
import { fileBody, openFile } from "./read.ts";
import { statIfPresent } from "./create.ts";
import { fileError } from "./file_error.ts";
import { FileWriter } from "./write.ts";

/**
 * Writes all sources, in order, into the destination and removes them. The destination changes in one
 * step, when everything is written.
 *
 * @throws {WrennError} `file_not_found`, `is_directory`, `invalid_request`, `no_space`.
 */
export async function composeFiles(
  sources: readonly string[],
  destination: string,
  user: User,
): Promise<void> {
  if (sources.length === 0) throw new WrennError("invalid_request", "source_paths is empty");
  if (new Set(sources).size !== sources.length) {
    throw new WrennError("invalid_request", "source_paths has the same path twice");
  }
  if ((await statIfPresent(destination))?.isDirectory) {
    throw new WrennError("is_directory", `path '${destination}' is a directory`);
  }
  const suffix = crypto.randomUUID().slice(0, 8);
  const partial = joinPath(
    parentOf(destination),
    `.${baseName(destination).slice(0, 60)}.${suffix}.partial`,
  );
  const writer = await FileWriter.create(partial, user);
  try {
    for (const source of sources) {
      for await (const piece of fileBody(await openFile(source), 0, undefined)) {
        await writer.write(piece);
      }
    }
    await writer.finish(undefined);
    await Deno.rename(partial, destination);
  } catch (error) {
    writer.abandon();
    await Deno.remove(partial).catch(() => {});
    throw fileError(error, destination);
  }
  for (const source of sources) {
    if (source === destination) continue;
    try {
      await Deno.remove(source);
    } catch (error) {
      throw fileError(error, source);
    }
  }
}
