/** The stand-in's command line: the part of Firecracker's that Wrenn uses. */

/** What to do. */
export type StandInCommand =
  | { readonly kind: "version" }
  | {
    readonly kind: "serve";
    readonly socket: string;
    readonly id: string;
    readonly logPath: string | undefined;
    readonly metricsPath: string | undefined;
  };

/** A command line that Firecracker would not start with, or that the stand-in does not know. */
export class StandInUsageError extends Error {
  /** Always `StandInUsageError`. */
  override readonly name: string = "StandInUsageError";
}

/** What the jailer tells of its own time, in microseconds. */
const TIMES = ["start-time-us", "start-time-cpu-us", "parent-cpu-time-us"];
const NAMED = ["api-sock", "id", "log-path", "level", "metrics-path", ...TIMES];
const LEVELS = ["error", "warning", "info", "debug", "trace", "off"];

/**
 * Reads the arguments.
 *
 * @throws {StandInUsageError}
 */
export function parseStandInArgs(args: readonly string[]): StandInCommand {
  if (args.length === 1 && args[0] === "--version") return { kind: "version" };
  const given = new Map<string, string>();
  for (let n = 0; n < args.length; n += 2) {
    const [flag = "", value] = args.slice(n, n + 2);
    const name = flag.startsWith("--") ? flag.slice(2) : "";
    if (!NAMED.includes(name)) throw new StandInUsageError(`Found argument '${flag}'`);
    if (given.has(name)) throw new StandInUsageError(`'${flag}' is given twice`);
    if (value === undefined || value.startsWith("--")) {
      throw new StandInUsageError(`'${flag}' needs a value`);
    }
    given.set(name, value);
  }
  const socket = given.get("api-sock");
  const id = given.get("id") ?? "anonymous-instance";
  if (socket === undefined) throw new StandInUsageError("'--api-sock' is missing");
  if (!/^[A-Za-z0-9-]{1,64}$/.test(id)) throw new StandInUsageError(`Invalid instance ID '${id}'`);
  if (!LEVELS.includes((given.get("level") ?? "info").toLowerCase())) {
    throw new StandInUsageError(`Invalid value for logger level '${given.get("level")}'`);
  }
  for (const name of TIMES) {
    const time = given.get(name);
    if (time !== undefined && !/^\d+$/.test(time)) {
      throw new StandInUsageError(`'--${name}' is no number`);
    }
  }
  return {
    kind: "serve",
    socket,
    id,
    logPath: given.get("log-path"),
    metricsPath: given.get("metrics-path"),
  };
}
