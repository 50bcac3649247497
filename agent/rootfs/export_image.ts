/** Writing a disk's content to an image file. */
import { CommandError, WrennError } from "@wrenn/common";
import { noSpace } from "../snapshot/space.ts";

/**
 * Lets `write` make the file at a path beside `target` and gives it its name when it is whole.
 *
 * @throws {WrennError} `already_exists`, `no_space`
 */
export async function exportTo(
  target: string,
  write: (path: string) => Promise<void>,
): Promise<void> {
  const draft = `${target}.new`;
  try {
    // Link, not rename: it fails when there is a file of that name.
    await write(draft);
    await Deno.link(draft, target);
  } catch (error) {
    throw exportError(error);
  } finally {
    await Deno.remove(draft).catch(() => {});
  }
}

function exportError(error: unknown): unknown {
  if (error instanceof Deno.errors.AlreadyExists) {
    return new WrennError("already_exists", "The image exists already", { cause: error });
  }
  const full = error instanceof CommandError &&
    /no space left on device|disk quota exceeded/i.test(error.result.stderr);
  return full ? noSpace(error) : error;
}
