/** Start flags of envd. Flags and not environment: what envd inherits is what its processes inherit. */

/** Parsed flags. */
export interface EnvdConfig {
  /** Address to listen on. */
  host: string;
  /** TCP port. */
  port: number;
  /** Refuse everything but `/health` and `/init` until a token was set. */
  awaitInit: boolean;
  /** Address under which listeners on localhost are offered, when the machine has it; empty for none. */
  mirrorAddress: string;
}

/** A flag that cannot be understood. */
export class FlagError extends Error {
  /** Always `FlagError`. */
  override readonly name: string = "FlagError";
}

/**
 * Reads `--port N --host ADDRESS --await-init --mirror ADDRESS`, also as `--name=value`.
 *
 * @throws {FlagError} With a sentence that names the flag.
 */
export function parseFlags(args: readonly string[]): EnvdConfig {
  const config: EnvdConfig = {
    host: "0.0.0.0",
    port: 49983,
    awaitInit: false,
    mirrorAddress: "169.254.0.21",
  };
  const words = args.flatMap((arg) => {
    const at = arg.startsWith("--") ? arg.indexOf("=") : -1;
    return at < 0 ? [arg] : [arg.slice(0, at), arg.slice(at + 1)];
  });
  for (let i = 0; i < words.length; i++) {
    const flag = words[i] ?? "";
    if (flag === "--await-init") {
      config.awaitInit = true;
      continue;
    }
    const value = words[++i];
    if (value === undefined) throw new FlagError(`Flag '${flag}' needs a value or is not known`);
    if (flag === "--host") config.host = value;
    else if (flag === "--mirror") config.mirrorAddress = value;
    else if (flag === "--port") config.port = portNumber(value);
    else throw new FlagError(`Flag '${flag}' is not known`);
  }
  return config;
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65535) return port;
  throw new FlagError(`Flag '--port' must be 0 to 65535, not '${text}'`);
}
