/** The control plane's environment. */
import { type ListenAddress, listenAddress, loadConfig } from "@wrenn/common";
import { z } from "zod";

/** Validated configuration. */
export interface ApiConfig {
  /** The database, `postgresql://user:password@host/name`. */
  readonly DATABASE_URL: string;
  /** Where to listen: `host:port` or `unix:/path`. */
  readonly CP_LISTEN_ADDR: ListenAddress;
  /** The host agents; as text separated by commas. */
  readonly CP_HOST_AGENT_ADDR: readonly ListenAddress[];
  /** The secret that the agents ask for. */
  readonly WRENN_AGENT_SECRET: string;
  /** `off`: the schema is brought up to date by `migrate up` alone. */
  readonly WRENN_MIGRATE: "on" | "off";
  /** Least level of what is logged. */
  readonly WRENN_LOG_LEVEL: "debug" | "info" | "warning" | "error";
}

/** @throws {ConfigError} With a sentence for each wrong variable. */
export function loadApiConfig(env: Record<string, string | undefined>): ApiConfig {
  return loadConfig(schema, env);
}

const schema: z.ZodObject<{ [K in keyof ApiConfig]: z.ZodType<ApiConfig[K]> }> = z.object({
  DATABASE_URL: z.string({ error: "must be set to 'postgresql://user:password@host/name'" })
    .regex(/^postgres(ql)?:\/\//, "must begin with 'postgresql://'"),
  CP_LISTEN_ADDR: z.string().default("127.0.0.1:3000").pipe(listenAddress),
  CP_HOST_AGENT_ADDR: z.string({ error: "must be set to 'host:port' or 'unix:/path'" })
    .transform((text) => text.split(",").map((part) => part.trim()))
    .pipe(z.array(listenAddress)),
  WRENN_AGENT_SECRET: z.string({ error: "must be set to the secret that the agents have" })
    .min(16, "must have at least 16 characters"),
  WRENN_MIGRATE: z.enum(["on", "off"], { error: "must be 'on' or 'off'" }).default("on"),
  WRENN_LOG_LEVEL: z.enum(["debug", "info", "warning", "error"], {
    error: "must be 'debug', 'info', 'warning' or 'error'",
  }).default("info"),
});
