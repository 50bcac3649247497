/** The public API as bytes on kept connections: what is measured is the platform, not an SDK. */
import { parseServerTiming, type Timing } from "./server_timing.ts";

/** An answer that came whole. */
export interface Answer {
  readonly status: number;
  /** JSON, or undefined when the answer had no body. */
  readonly body: unknown;
  /** From sending the request until the whole answer was there, milliseconds. */
  readonly ms: number;
  /** Steps that the answer names. */
  readonly timing: Timing;
}

/** Where the platform is and how it is asked. */
export interface HttpApiOptions {
  /** Base URL. */
  readonly url: string;
  readonly key: string;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
  /** Longest wait for one answer, milliseconds. Default two minutes. */
  readonly timeoutMs?: number;
}

/** An answer that says no. */
export class ApiError extends Error {
  /** Status of the answer. */
  readonly status: number;
  /** Wrenn error code, or empty. */
  readonly code: string;

  /** @param call Method and path. @param status Status. @param body Body of the answer. */
  constructor(call: string, status: number, body: unknown) {
    const { code = "", message = "" } = (body as { error?: { code?: string; message?: string } })
      ?.error ?? {};
    super(`${call} answered ${status} ${code}: ${message}`.replace(/[ :]+$/, ""));
    this.status = status;
    this.code = code;
  }
}

const TIMEOUT_MS = 120_000;
/** More than the sandboxes that one mode asks for at once: each keeps its connection. */
const IDLE_CONNECTIONS = 256;

/** A client. Disposing of it closes its connections. */
export class HttpApi implements Disposable {
  readonly #options: HttpApiOptions;
  readonly #client: Deno.HttpClient;

  /** @param options Address, key, signal. */
  constructor(options: HttpApiOptions) {
    this.#options = options;
    this.#client = Deno.createHttpClient({ http2: false, poolMaxIdlePerHost: IDLE_CONNECTIONS });
  }

  /**
   * One request with a JSON body or none.
   *
   * @param always Sent even when the run is over: it gives something back.
   * @throws {ApiError} For a status of 400 and above.
   */
  async request(method: string, path: string, body?: unknown, always = false): Promise<Answer> {
    const text = body === undefined ? null : JSON.stringify(body);
    return await this.#send(method, path, text, "application/json", always);
  }

  /** One request with bytes as its body. @throws {ApiError} As {@linkcode request}. */
  async upload(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<Answer> {
    return await this.#send("POST", path, bytes, "application/octet-stream", false);
  }

  /** Reads an answer of any size and counts its bytes. @throws {ApiError} As {@linkcode request}. */
  async download(path: string): Promise<number> {
    const response = await this.#fetch("GET", path, null, "", false);
    if (!response.ok) throw new ApiError(`GET ${path}`, response.status, await json(response));
    let count = 0;
    for await (const piece of response.body ?? []) count += piece.length;
    return count;
  }

  /** Closes the connections. */
  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #send(
    method: string,
    path: string,
    content: string | Uint8Array<ArrayBuffer> | null,
    type: string,
    always: boolean,
  ): Promise<Answer> {
    const start = performance.now();
    const response = await this.#fetch(method, path, content, type, always);
    const body = await json(response);
    const ms = performance.now() - start;
    if (!response.ok) throw new ApiError(`${method} ${path}`, response.status, body);
    const timing = parseServerTiming(response.headers.get("server-timing"));
    return { status: response.status, body, ms, timing };
  }

  #fetch(
    method: string,
    path: string,
    body: string | Uint8Array<ArrayBuffer> | null,
    type: string,
    always: boolean,
  ): Promise<Response> {
    const { url, key, signal, timeoutMs = TIMEOUT_MS } = this.#options;
    const limit = AbortSignal.timeout(timeoutMs);
    return fetch(`${url}${path}`, {
      method,
      headers: { "x-api-key": key, ...(body === null ? {} : { "content-type": type }) },
      body,
      client: this.#client,
      signal: always ? limit : AbortSignal.any([signal, limit]),
    });
  }
}

async function json(response: Response): Promise<unknown> {
  const text = await response.text();
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
