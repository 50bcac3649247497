/** HTTP calls to the control plane: key, time limits, retries, errors. */
import type { CallOptions, ConnectionConfig } from "./config.ts";
import { errorFromAnswer } from "./core/error_map.ts";
import { isUnsent, type Outcome, parseRetryAfter, retryDelay } from "./core/retry.ts";
import { TimeoutError, UnavailableError, WrennError } from "./errors.ts";

/** One call. */
export interface HttpRequest extends CallOptions {
  readonly method: "GET" | "POST" | "DELETE";
  /** Path below the API's address, encoded. */
  readonly path: string;
  /** Query parameters; undefined ones are left out, lists are repeated. */
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>;
  /** JSON body. */
  readonly json?: unknown;
  /** Raw body, sent as `application/octet-stream`. A stream is never sent twice. */
  readonly body?: Blob | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | undefined;
  /** Doing it twice is the same as doing it once. Default: true for GET and DELETE. */
  readonly idempotent?: boolean;
}

/**
 * What must live as long as a body that is being read: Deno forgets the signal of a request whose `Response` is
 * garbage.
 */
const held = new WeakMap<ReadableStream, readonly unknown[]>();

/** HTTP to one control plane with one key. */
export class HttpClient {
  readonly #config: ConnectionConfig;

  /** @param config Address, key and limits. */
  constructor(config: ConnectionConfig) {
    this.#config = config;
  }

  /** Calls and reads a JSON object. */
  json(request: HttpRequest): Promise<Record<string, unknown>> {
    return this.#call(request, async (response) => {
      const value: unknown = await response.json().catch((cause) => {
        if (cause instanceof SyntaxError) return undefined;
        throw cause;
      });
      if (typeof value !== "object" || value === null) {
        throw new WrennError(
          "invalid_response",
          "The platform answered something that is not JSON",
        );
      }
      return value as Record<string, unknown>;
    });
  }

  /** Calls and throws the answer's body away. */
  async empty(request: HttpRequest): Promise<void> {
    await this.#call(request, (response) => response.arrayBuffer());
  }

  /** Calls and reads the whole body; the time limit covers the wait for the answer's head alone. */
  bytes(request: HttpRequest): Promise<Uint8Array<ArrayBuffer>> {
    return this.#call(request, async (response, headDone) => {
      headDone();
      return new Uint8Array(await response.arrayBuffer());
    });
  }

  /** Calls and hands the body over as it comes. */
  stream(request: HttpRequest): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    return this.#call(request, (response, headDone) => {
      headDone();
      return Promise.resolve(response.body ?? new ReadableStream({ start: (c) => c.close() }));
    });
  }

  async #call<T>(
    request: HttpRequest,
    read: (response: Response, headDone: () => void) => Promise<T>,
  ): Promise<T> {
    const replayable = !(request.body instanceof ReadableStream);
    const idempotent = request.idempotent ?? request.method !== "POST";
    for (let attempts = 1;; attempts++) {
      const { value, error, outcome } = await this.#attempt(request, read);
      if (outcome === undefined) {
        if (error !== undefined) throw error;
        return value as T;
      }
      const { maxRetries } = this.#config;
      const random = Math.random();
      const pause = retryDelay(outcome, { attempts, maxRetries, replayable, idempotent, random });
      if (pause === undefined) throw error;
      await delay(pause, request.signal);
    }
  }

  /** One attempt: a value, or an error with the outcome that decides about a retry (none = final). */
  async #attempt<T>(
    request: HttpRequest,
    read: (response: Response, headDone: () => void) => Promise<T>,
  ): Promise<{ value?: T; error?: unknown; outcome?: Outcome }> {
    request.signal?.throwIfAborted();
    const limitMs = request.requestTimeoutMs ?? this.#config.requestTimeoutMs;
    const limit = new AbortController();
    const timer = limitMs > 0 ? setTimeout(() => limit.abort(), limitMs) : undefined;
    const signal = request.signal ? AbortSignal.any([limit.signal, request.signal]) : limit.signal;
    try {
      const response = await fetch(this.#url(request), this.#init(request, signal));
      if (response.body) held.set(response.body, [response, signal]);
      if (response.ok) return { value: await read(response, () => clearTimeout(timer)) };
      const { status, headers } = response;
      const retryAfterMs = parseRetryAfter(headers.get("retry-after"), Date.now());
      const requestId = headers.get("x-request-id") ?? undefined;
      const body = await response.text();
      const error = errorFromAnswer({ status, body, requestId, retryAfterMs });
      return { error, outcome: { kind: "status", status, retryAfterMs } };
    } catch (cause) {
      if (request.signal?.aborted) throw request.signal.reason;
      if (limit.signal.aborted) {
        throw new TimeoutError(
          "request_timeout",
          `No answer to ${request.method} ${request.path} within ${limitMs} ms`,
          { cause },
        );
      }
      if (cause instanceof WrennError) throw cause;
      const error = new UnavailableError(
        "connection_failed",
        `Cannot reach '${this.#config.apiUrl.origin}': ${reasonOf(cause)}`,
        { cause },
      );
      return { error, outcome: { kind: "failed", unsent: isUnsent(cause) } };
    } finally {
      clearTimeout(timer);
    }
  }

  #url(request: HttpRequest): URL {
    const url = endpoint(this.#config.apiUrl, request.path);
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value === undefined) continue;
      const values = typeof value === "object" ? value : [String(value)];
      for (const one of values) url.searchParams.append(name, one);
    }
    return url;
  }

  #init(request: HttpRequest, signal: AbortSignal): RequestInit {
    const headers: Record<string, string> = { "x-api-key": this.#config.apiKey };
    const init: RequestInit & { duplex?: "half" } = {
      method: request.method,
      headers,
      signal,
      redirect: "manual", // a redirect would carry the key to another host
    };
    if (request.json !== undefined) {
      headers["content-type"] = "application/json";
      init.body = JSON.stringify(request.json);
    } else if (request.body !== undefined) {
      headers["content-type"] = "application/octet-stream";
      init.body = request.body;
      if (request.body instanceof ReadableStream) init.duplex = "half";
    }
    return init;
  }
}

/** The URL of a path below the API's address, which may have a path of its own. */
export function endpoint(apiUrl: URL, path: string): URL {
  return new URL(apiUrl.pathname.replace(/\/+$/, "") + path, apiUrl);
}

/** The innermost sentence of an error's chain. */
export function reasonOf(error: unknown): string {
  let message = String(error);
  for (let e = error; e instanceof Error; e = e.cause) if (e.message !== "") message = e.message;
  return message;
}

/** Waits; rejects with the signal's reason. */
async function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
