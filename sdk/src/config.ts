/** Where the platform is and how to talk to it. */
import { AuthenticationError, InvalidRequestError } from "./errors.ts";

/** How to reach the platform. What is left out comes from `WRENN_API_URL` and `WRENN_API_KEY`. */
export interface ConnectionOptions {
  /** Address of the control plane, `http://` or `https://`. Default: `WRENN_API_URL`. */
  apiUrl?: string | undefined;
  /** API key. Default: `WRENN_API_KEY`. */
  apiKey?: string | undefined;
  /** Longest wait for an answer, milliseconds; 0 = no limit. Default 60 000. */
  requestTimeoutMs?: number | undefined;
  /** How often a request that may safely be repeated is sent again. Default 3. */
  maxRetries?: number | undefined;
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Longest wait for the answer, milliseconds; 0 = no limit. Default: the connection's. */
  requestTimeoutMs?: number | undefined;
}

/** Complete settings of a connection. */
export interface ConnectionConfig {
  readonly apiUrl: URL;
  readonly apiKey: string;
  readonly requestTimeoutMs: number;
  readonly maxRetries: number;
}

/** Fills in what is missing from the environment. Throws when there is no address or no key. */
export function resolveConfig(
  options: ConnectionOptions,
  env: (name: string) => string | undefined = readEnv,
): ConnectionConfig {
  const address = options.apiUrl ?? env("WRENN_API_URL");
  if (!address) {
    throw new InvalidRequestError(
      "api_url_missing",
      "No address of the platform: set WRENN_API_URL or pass 'apiUrl'",
    );
  }
  const apiKey = options.apiKey ?? env("WRENN_API_KEY");
  if (!apiKey) {
    throw new AuthenticationError(
      "api_key_missing",
      "No API key: set WRENN_API_KEY or pass 'apiKey'",
    );
  }
  return {
    apiUrl: parseUrl(address),
    apiKey,
    requestTimeoutMs: limit("requestTimeoutMs", options.requestTimeoutMs, 60_000),
    maxRetries: limit("maxRetries", options.maxRetries, 3),
  };
}

function parseUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new InvalidRequestError(
      "api_url_invalid",
      `Address of the platform must be an http or https URL: '${address}'`,
    );
  }
  return url;
}

function limit(name: string, value: number | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (!Number.isFinite(value) || value < 0) {
    throw new InvalidRequestError("invalid_option", `'${name}' must be 0 or more: ${value}`);
  }
  return value;
}

function readEnv(name: string): string | undefined {
  const { process } = globalThis as {
    process?: { env: Record<string, string | undefined> };
  };
  return process?.env[name];
}
