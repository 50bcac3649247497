/** What the host agent asks of a guest, whichever way the question comes. */
import { WrennError } from "@wrenn/common/errors";
import type { Initializer } from "../init/init.ts";
import { quiesce, type QuiesceParts, seal } from "../init/quiesce.ts";
import { runExec } from "../routes/exec.ts";

/** What answers. */
export interface ControlParts extends QuiesceParts {
  readonly initializer: Initializer;
}

/** Paths of the calls. */
export const CONTROL_PATHS: ReadonlySet<string> = new Set([
  "/init",
  "/clock",
  "/exec",
  "/quiesce",
  "/seal",
]);

/** A call. */
export interface ControlCall {
  /** One of {@linkcode CONTROL_PATHS}. */
  readonly path: string;
  /** JSON. */
  readonly text: string;
  /** Token that the caller showed; for all but `/init` it is already checked. */
  readonly token: string | null;
  /** Whether somebody still waits for the answer. */
  readonly wanted: () => boolean;
}

/**
 * Answers a call.
 *
 * @returns Bytes as they are, or what is answered as JSON; undefined for nothing.
 * @throws {WrennError} `unauthorized`, `invalid_json`, `invalid_request`, `not_found`, and as `ProcessManager.runOnce`.
 */
export async function control(
  parts: ControlParts,
  { path, text, token, wanted }: ControlCall,
): Promise<Uint8Array<ArrayBuffer> | object | undefined> {
  switch (path) {
    case "/init":
      return await parts.initializer.apply(text, token);
    case "/clock":
      parts.initializer.tellTime(text);
      return undefined;
    case "/exec":
      return await runExec(text, parts, wanted);
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
