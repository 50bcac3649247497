/** Command line of `deno task dev`. */
import { parseArgs } from "node:util";
import { join, resolve } from "node:path";

/** What `dev` was asked for, with every folder it uses. */
export interface DevOptions {
  /** TCP port of the control plane on 127.0.0.1; 0 lets the system choose. */
  readonly port: number;
  /** Everything that lasts: `.dev` in the repository by default. */
  readonly dataDir: string;
  /** Network slots of this agent, `first-last`. */
  readonly slots: string;
  /** End after the first sandbox instead of serving on. */
  readonly once: boolean;
}

/** A wrong command line; the message says what is wrong and how it is used. */
export class UsageError extends Error {}

const USAGE = "Usage: deno task dev [--port 3000] [--data-dir DIR] [--slots FIRST-LAST] [--once]";

/** Reads the command line. */
export function parseDevOptions(args: readonly string[], root: string): DevOptions {
  const values = readFlags(args);
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new UsageError(`--port must be a number from 0 to 65535: '${values.port}'\n${USAGE}`);
  }
  if (!/^\d+-\d+$/.test(values.slots)) {
    throw new UsageError(`--slots must be FIRST-LAST: '${values.slots}'\n${USAGE}`);
  }
  const dataDir = values["data-dir"] === undefined
    ? join(root, ".dev")
    : resolve(values["data-dir"]);
  return { port, dataDir, slots: values.slots, once: values.once };
}

function readFlags(
  args: readonly string[],
): { port: string; slots: string; once: boolean; "data-dir"?: string | undefined } {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: "string", default: "3000" },
        "data-dir": { type: "string" },
        slots: { type: "string", default: "1-4096" },
        once: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`);
  }
}
