/** Command line of `deno task bench`. */
import { parseArgs } from "node:util";

/** What the bench was asked for. */
export interface BenchOptions {
  /** File for the result as JSON. */
  readonly json?: string;
  /** Platform to measure; without it `.dev/env`, or a platform of its own. */
  readonly url?: string;
  readonly key?: string;
  readonly template: string;
  /** Sandboxes made per row that makes them. */
  readonly creates: number;
}

/** How it is used. */
export const USAGE =
  "Usage: deno task bench [--json FILE] [--url URL --key KEY] [--template base] [--creates 6]";

/** Reads the command line. Throws with a sentence. */
export function parseBenchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "string" },
      url: { type: "string" },
      key: { type: "string" },
      template: { type: "string", default: "base" },
      creates: { type: "string", default: "6" },
    },
  });
  const { json, url, key, template, creates } = values;
  if ((url === undefined) !== (key === undefined)) {
    throw new TypeError("'--url' and '--key' go together");
  }
  if (!/^[1-9]\d{0,2}$/.test(creates)) {
    throw new TypeError(`'--creates' must be 1 to 999: '${creates}'`);
  }
  return {
    ...(json === undefined ? {} : { json }),
    ...(url === undefined || key === undefined ? {} : { url, key }),
    template,
    creates: Number(creates),
  };
}
