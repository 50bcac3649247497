/** Configuration from the environment: one zod schema per process, validated once at start. */
import { z } from "zod";

/** A wrong or missing environment variable. The message names each one. */
export class ConfigError extends Error {
  /** Always `ConfigError`. */
  override readonly name: string = "ConfigError";
}

/**
 * Reads the variables that the schema names. An empty variable counts as absent.
 *
 * @param schema Object schema; each key is an environment variable.
 * @param env Environment, `Deno.env.toObject()` outside tests.
 * @throws {ConfigError} With a sentence for each wrong variable.
 */
export function loadConfig<S extends z.ZodObject>(
  schema: S,
  env: Record<string, string | undefined>,
): z.infer<S> {
  const given = Object.fromEntries(
    Object.keys(schema.shape).map((name) => [name, env[name] === "" ? undefined : env[name]]),
  );
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const lines = result.error.issues.map((i) =>
    `Wrong configuration: ${i.path.join(".")}: ${i.message}`
  );
  throw new ConfigError(lines.join("\n"));
}

/** A TCP address `host:port`, `:port`, or a Unix socket `unix:/path`. */
export type ListenAddress = { transport: "tcp"; hostname: string; port: number } | {
  transport: "unix";
  path: string;
};

/** Schema of a {@linkcode ListenAddress} written as text. */
export const listenAddress: z.ZodType<ListenAddress, string> = z.string().transform((text, ctx) => {
  if (text.startsWith("unix:/")) return { transport: "unix" as const, path: text.slice(5) };
  const match = /^(\[[0-9a-f:]+\]|[^:]*):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > 65535) {
    ctx.addIssue({ code: "custom", message: "must be 'host:port', ':port' or 'unix:/path'" });
    return z.NEVER;
  }
  const hostname = (match[1] ?? "").replace(/^\[|\]$/g, "") || "0.0.0.0";
  return { transport: "tcp" as const, hostname, port };
});
