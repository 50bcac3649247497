/** What the host agent asks of a guest, whichever way the question comes. */
import { WrennError } from "@wrenn/common/errors";
import type { Initializer } from "../init/init.ts";
import { quiesce, type QuiesceParts, seal } from "../init/quiesce.ts";

/** What answers. */
export interface ControlParts extends QuiesceParts {
  readonly initializer: Initializer;
}

/** Paths of the calls. */
export const CONTROL_PATHS: ReadonlySet<string> = new Set(["/init", "/clock", "/quiesce", "/seal"]);

/**
 * Answers a call.
 *
 * @param path One of {@linkcode CONTROL_PATHS}. @param text JSON body. @param token Token that the caller showed; for
 * all but `/init` it is already checked.
 * @returns What is answered as JSON; undefined for nothing.
 * @throws {WrennError} `unauthorized`, `invalid_json`, `invalid_request`, `not_found`.
 */
export async function control(
  parts: ControlParts,
  path: string,
  text: string,
  token: string | null,
): Promise<unknown> {
  switch (path) {
    case "/init":
      return await parts.initializer.apply(text, token);
    case "/clock":
      parts.initializer.tellTime(text);
      return undefined;
    case "/quiesce":
      return await quiesce(parts, { sync: wantsSync(text) });
    case "/seal":
      await seal(parts);
      return undefined;
    default:
      throw new WrennError("not_found", "There is no such route");
  }
}

function wantsSync(text: string): boolean {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null && "sync" in body && body.sync === true;
  } catch (cause) {
    throw new WrennError("invalid_json", "Body is not JSON", { cause });
  }
}
