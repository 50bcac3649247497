/** A WebSocket of JSON messages with backpressure in both directions, on the npm package `ws`. */
import { errorFromAnswer } from "./core/error_map.ts";
import { TimeoutError, UnavailableError, WrennError } from "./errors.ts";
import { reasonOf } from "./http_client.ts";

/** The part of a `ws` socket that is used here. */
interface RawSocket {
  on(event: string, listener: (...args: never[]) => void): void;
  send(text: string, done: (error?: Error) => void): void;
  ping(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}
interface RawSocketClass {
  new (url: string, options: Record<string, unknown>): RawSocket;
}
/** The answer of a server that refused the upgrade. */
interface RawAnswer {
  statusCode?: number;
  headers: Record<string, string | string[] | undefined>;
  on(event: string, listener: (chunk: Uint8Array) => void): void;
}

/** How to open a socket. */
export interface SocketOptions {
  readonly url: URL;
  readonly headers: Record<string, string>;
  /** Longest wait for the connection, milliseconds; 0 = no limit. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Text held for a slow reader before the connection is stopped, characters. */
const HIGH_WATER = 1024 * 1024;
/** A quiet connection is pinged this often, and given up when two pings pass unanswered. */
const PING_MS = 20_000;

/** A connection that carries JSON objects. */
export class MessageSocket {
  readonly #raw: RawSocket;
  readonly #queue: string[] = [];
  readonly #closed: Promise<void>;
  readonly #pinger: ReturnType<typeof setInterval>;
  #held = 0;
  #paused = false;
  #ended = false;
  #left = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #unanswered = 0;

  private constructor(raw: RawSocket) {
    this.#raw = raw;
    this.#pinger = setInterval(() => this.#ping(), PING_MS);
    raw.on("message", (data: { toString(): string }) => this.#take(data.toString()));
    raw.on("pong", () => this.#unanswered = 0);
    raw.on("error", (cause: Error) => this.#failure ??= lost(reasonOf(cause), cause));
    this.#closed = new Promise((resolve) => {
      raw.on("close", (code: number) => {
        clearInterval(this.#pinger);
        if (code !== 1000) this.#failure ??= lost(`closed with code ${code}`);
        this.#ended = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  /** Connects. Throws the platform's error when it refuses the upgrade. */
  static async open(options: SocketOptions): Promise<MessageSocket> {
    options.signal?.throwIfAborted();
    const { default: WebSocket } = await import("ws") as unknown as { default: RawSocketClass };
    const url = new URL(options.url);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const raw = new WebSocket(url.href, {
      headers: options.headers,
      perMessageDeflate: false,
      maxPayload: 64 * 1024 * 1024,
      ...(options.timeoutMs > 0 ? { handshakeTimeout: options.timeoutMs } : {}),
    });
    const stop = (): void => raw.terminate();
    options.signal?.addEventListener("abort", stop, { once: true });
    try {
      return await new Promise<MessageSocket>((resolve, reject) => {
        raw.on("open", () => resolve(new MessageSocket(raw)));
        raw.on("error", (cause: Error) => {
          if (options.signal?.aborted) return reject(options.signal.reason);
          const reason = reasonOf(cause);
          const message = `Cannot reach '${options.url.origin}': ${reason}`;
          reject(
            /handshake has timed out/.test(reason)
              ? new TimeoutError("request_timeout", message, { cause })
              : new UnavailableError("connection_failed", message, { cause }),
          );
        });
        raw.on("unexpected-response", (request: { destroy(): void }, answer: RawAnswer) => {
          let body = "";
          const header = answer.headers["x-request-id"];
          answer.on("data", (chunk) => body += new TextDecoder().decode(chunk));
          answer.on("end", () => {
            const requestId = typeof header === "string" ? header : undefined;
            reject(errorFromAnswer({ status: answer.statusCode ?? 0, body, requestId }));
            request.destroy();
          });
        });
      });
    } finally {
      options.signal?.removeEventListener("abort", stop);
    }
  }

  /** The next message, or undefined when the peer closed in good order. Throws when the connection broke. */
  async receive(): Promise<Record<string, unknown> | undefined> {
    while (this.#queue.length === 0) {
      if (this.#left) return undefined;
      if (this.#ended) {
        if (this.#failure) throw this.#failure;
        return undefined;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const text = this.#queue.shift() ?? "";
    this.#held -= text.length;
    if (this.#paused && this.#held < HIGH_WATER / 2) {
      this.#paused = false;
      this.#raw.resume();
    }
    return parse(text);
  }

  /** Sends; resolves when the bytes have left this process, so that a sender who waits cannot run ahead. */
  send(message: Record<string, unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#raw.send(JSON.stringify(message), (cause) => {
        if (cause) reject(this.#failure ?? lost(reasonOf(cause), cause));
        else resolve();
      });
    });
  }

  /**
   * Leaves at once, without waiting for the peer's goodbye; resolves when nothing of the connection is left here.
   * A waiting `receive()` returns undefined.
   */
  async close(): Promise<void> {
    if (!this.#ended && !this.#left) {
      this.#left = true;
      this.#wake?.();
      clearInterval(this.#pinger);
      this.#raw.terminate();
    }
    await this.#closed;
  }

  #take(text: string): void {
    this.#unanswered = 0;
    this.#queue.push(text);
    this.#held += text.length;
    if (!this.#paused && this.#held >= HIGH_WATER) {
      this.#paused = true;
      this.#raw.pause();
    }
    this.#wake?.();
  }

  #ping(): void {
    if (this.#paused) return; // pongs wait behind the data
    if (++this.#unanswered > 2) {
      this.#failure ??= lost("no sign of life");
      this.#raw.terminate();
    } else this.#raw.ping();
  }
}

function lost(reason: string, cause?: unknown): UnavailableError {
  return new UnavailableError("connection_lost", `The connection was lost: ${reason}`, { cause });
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new WrennError("invalid_response", "The platform sent a message that is not JSON", {
      cause,
    });
  }
  throw new WrennError("invalid_response", "The platform sent a message that is not an object");
}
