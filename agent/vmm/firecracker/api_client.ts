/** Firecracker's HTTP API over its Unix socket: one call at a time as asked for, no knowledge of the machine's phase. */
import { abortableFetch, linkSignals } from "@wrenn/common";
import { z } from "zod";
import { type ApiCall, callName } from "../../core/firecracker_calls.ts";
import { FirecrackerError } from "./firecracker_error.ts";
import { type InstanceInfo, parseInstanceInfo } from "./instance_info.ts";

/** Largest body that Firecracker reads, in bytes. */
export const MAX_BODY_BYTES = 51_200;

/** Options of one call. */
export interface CallOptions {
  /** Milliseconds until the call counts as failed. */
  readonly timeoutMs?: number;
  /** Stops waiting; the call fails with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** An answer, read to its end. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

const DEFAULT_TIMEOUT_MS = 5000;
/** Firecracker has a guest inside: what it answers is not believed to be short. */
const MAX_ANSWER_BYTES = 1 << 20;
const MAX_FAULT_CHARS = 1000;

const faultBody = z.object({ fault_message: z.string() });

/** Client of one Firecracker process. Needs to be closed. */
export class FirecrackerApi implements Disposable {
  readonly #http: Deno.HttpClient;
  readonly #closed = new AbortController();

  /** @param socket Path of the API's socket on this side. Nobody needs to listen yet. */
  constructor(socket: string) {
    // Firecracker closes no idle connection, and one that is kept saves a connect for every call.
    this.#http = Deno.createHttpClient({
      proxy: { transport: "unix", path: socket },
      http2: false,
      poolMaxIdlePerHost: 1,
      poolIdleTimeout: false,
    });
  }

  /**
   * Sends a call and waits until it is performed.
   *
   * @throws {FirecrackerError} All but `phase`.
   */
  async send(call: ApiCall, options: CallOptions = {}): Promise<void> {
    const name = callName(call);
    const body = JSON.stringify(call.body);
    const bytes = new TextEncoder().encode(body).length;
    if (bytes > MAX_BODY_BYTES) {
      throw new FirecrackerError(
        "too_large",
        name,
        `Cannot send ${name}: its body has ${bytes} bytes, Firecracker reads ${MAX_BODY_BYTES}`,
      );
    }
    const { status, text } = await this.#exchange(call.method, call.path, body, options);
    if (status !== 204 || text !== "") throw failed(name, status, text);
  }

  /**
   * Asks what it is and which state it is in.
   *
   * @throws {FirecrackerError} All but `phase` and `too_large`.
   */
  async info(options: CallOptions = {}): Promise<InstanceInfo> {
    const { status, text } = await this.#exchange("GET", "/", undefined, options);
    if (status !== 200) throw failed("GET /", status, text);
    try {
      return parseInstanceInfo(text);
    } catch (cause) {
      throw new FirecrackerError("protocol", "GET /", "Firecracker does not say what it is", {
        cause,
        status,
      });
    }
  }

  /** Ends the connection. Calls under way fail with `closed`. Idempotent. */
  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    this.#http.close();
  }

  /** Same as {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #exchange(
    method: "GET" | ApiCall["method"],
    path: string,
    body: string | undefined,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
  ): Promise<Answer> {
    signal?.throwIfAborted();
    const name = `${method} ${path}`;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), timeoutMs);
    using linked = linkSignals(
      this.#closed.signal,
      limit.signal,
      ...(signal ? [signal] : []),
    );
    try {
      // A body that is a string has a Content-Length; one that is a stream would be chunked.
      const response = await abortableFetch(`http://localhost${path}`, {
        method,
        client: this.#http,
        headers: {
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body }),
        redirect: "manual",
        signal: linked.signal,
      });
      return { status: response.status, text: await readAnswer(name, response) };
    } catch (cause) {
      if (cause instanceof FirecrackerError) throw cause;
      if (signal?.aborted) throw signal.reason;
      throw limit.signal.aborted
        ? new FirecrackerError("timeout", name, `No answer to ${name} within ${timeoutMs} ms`)
        : new FirecrackerError("closed", name, `No connection to Firecracker for ${name}`, {
          cause,
        });
    } finally {
      clearTimeout(timer);
    }
  }
}

async function readAnswer(name: string, response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new FirecrackerError("protocol", name, `The answer to ${name} does not end`, {
        status: response.status,
      });
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function failed(name: string, status: number, text: string): FirecrackerError {
  if (status >= 400) {
    const fault = faultOf(text);
    return new FirecrackerError("refused", name, `Firecracker refuses ${name}: ${fault}`, {
      status,
      fault,
    });
  }
  return new FirecrackerError("protocol", name, `Firecracker answers ${name} with ${status}`, {
    status,
  });
}

/** A refusal's words. What its HTTP layer refuses, Firecracker answers with text that is not quite JSON. */
function faultOf(text: string): string {
  let fault = text.trim();
  try {
    fault = faultBody.parse(JSON.parse(text)).fault_message;
  } catch {
    // The text as it is.
  }
  return fault.slice(0, MAX_FAULT_CHARS);
}
