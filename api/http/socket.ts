/** WebSockets that carry JSON text messages, with bounds in both directions. */
import { delay, WrennError } from "@wrenn/common";
import type { z } from "zod";
import { BoundedQueue } from "../services/queue.ts";
import { byteLength } from "../routes/schemas.ts";
import { errorBody, invalidInput, toWrennError } from "./errors.ts";
import { checkJson } from "./json_body.ts";
import type { ApiLimits } from "./limits.ts";
import type { RawSocket } from "./raw_socket.ts";

const POLL_MS = 5;
const CLOSE_MS = 5_000;
const OPEN = 1;

/** Close codes of ours; 1000 follows a session that was served, whatever the guest answered. */
export const CLOSE: Readonly<Record<"done" | "goingAway" | "internal", number>> = {
  done: 1000,
  goingAway: 1001,
  internal: 1011,
};

/** WebSocket close code after an error: 4000 + HTTP status for the client's own faults. */
export function closeCode(error: WrennError): number {
  switch (error.code) {
    case "invalid_request":
    case "invalid_json":
    case "invalid_path":
    case "invalid_user":
      return 4400;
    case "request_timeout":
      return 4408;
    case "payload_too_large":
      return 1009;
    case "internal":
      return CLOSE.internal;
    default:
      return CLOSE.done;
  }
}

/** All open sockets, so that a server that stops can say goodbye. */
export class SocketRegistry {
  readonly #open = new Set<JsonSocket>();
  #closed = false;

  /** Number of open sockets. */
  get size(): number {
    return this.#open.size;
  }

  /** Keeps a socket until it is closed. */
  add(socket: JsonSocket): void {
    this.#open.add(socket);
    socket.gone.addEventListener("abort", () => this.#open.delete(socket), { once: true });
    if (this.#closed) socket.close(CLOSE.goingAway, "Server is stopping");
  }

  /** Closes every socket with 1001, also those that come later. */
  close(): void {
    this.#closed = true;
    for (const socket of [...this.#open]) socket.close(CLOSE.goingAway, "Server is stopping");
  }
}

/** Throws `upgrade_required` for a request that asks for no WebSocket. Call before any other work. */
export function requireUpgrade(request: Request): void {
  const header = (name: string): string => request.headers.get(name)?.toLowerCase() ?? "";
  const asks = header("upgrade").split(",").some((p) => p.trim() === "websocket") &&
    header("connection").split(",").some((p) => p.trim() === "upgrade");
  if (!asks) throw new WrennError("upgrade_required", "This call is a WebSocket");
  if (
    request.method !== "GET" || header("sec-websocket-version") !== "13" ||
    !/^[A-Za-z0-9+/]{22}==$/.test(request.headers.get("sec-websocket-key") ?? "")
  ) throw new WrennError("upgrade_required", "Malformed WebSocket handshake");
}

/** One WebSocket after its upgrade. */
export class JsonSocket {
  readonly #raw: RawSocket;
  readonly #limits: ApiLimits;
  readonly #gone = new AbortController();
  readonly #inbox: BoundedQueue<{ value: unknown; size: number }>;
  readonly #messages: AsyncGenerator<{ value: unknown; size: number }>;
  readonly #pinger: ReturnType<typeof setInterval>;
  #fault: WrennError | undefined;
  #unanswered = 0;
  #paused = false;

  /** @param raw An open socket. */
  constructor(raw: RawSocket, limits: ApiLimits) {
    this.#raw = raw;
    this.#limits = limits;
    this.#inbox = new BoundedQueue({ limit: limits.pendingBytes, weigh: (m) => m.size });
    this.#messages = this.#inbox[Symbol.asyncIterator]();
    this.#pinger = setInterval(() => this.#ping(), limits.socketIdleSec * 500);
    raw.on("message", (data, binary) => this.#receive(data, binary));
    raw.on("pong", () => this.#unanswered = 0);
    raw.on("close", () => this.#leave());
    raw.on("error", (error) => this.#broken(error));
  }

  /** Aborted when the socket is closed by either side or the client broke the protocol. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /**
   * The first message, checked.
   *
   * @returns Undefined when the client left without one.
   * @throws {WrennError} `request_timeout`, or what is wrong with it.
   */
  async first<T>(schema: z.ZodType<T>): Promise<T | undefined> {
    const timer = setTimeout(() => {
      this.fault(new WrennError("request_timeout", "First message did not arrive in time"));
    }, this.#limits.firstMessageMs);
    try {
      const { value, done } = await this.#messages.next();
      if (this.#fault) throw this.#fault;
      return done ? undefined : parse(schema, value.value);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The messages after the first, checked. A wrong one ends the iteration and breaks the socket off. */
  async *rest<T>(schema: z.ZodType<T>): AsyncGenerator<T> {
    for await (const { value } of this.#messages) {
      let message: T;
      try {
        message = parse(schema, value);
      } catch (error) {
        return this.fault(toWrennError(error));
      }
      yield message;
    }
  }

  /** Sends a message; waits while the client is behind. Returns at once when it is gone. */
  async send(message: Readonly<Record<string, unknown>>): Promise<void> {
    while (this.#raw.bufferedAmount > this.#limits.unsentBytes && !this.gone.aborted) {
      await delay(POLL_MS);
    }
    this.#sendNow(message);
  }

  /** Ends the session because of something the client did: whoever waits on this socket stops. */
  fault(error: WrennError): void {
    this.#fault ??= error;
    this.#inbox.close();
    this.#gone.abort();
  }

  /** Tells the error to the client and closes. A fault of the client goes before what it led to. */
  fail(error: unknown): WrennError {
    const known = this.#fault ?? toWrennError(error);
    this.#sendNow({ type: "error", ...errorBody(known) });
    this.close(closeCode(known));
    return known;
  }

  /** Closes after what was sent. A client that does not answer the close is cut off. */
  close(code: number, reason: string = ""): void {
    this.#leave();
    if (this.#raw.readyState !== OPEN) return;
    if (this.#paused) this.#raw.resume();
    this.#raw.close(code, reason);
    const timer = setTimeout(() => this.#raw.terminate(), CLOSE_MS);
    this.#raw.on("close", () => clearTimeout(timer));
  }

  #sendNow(message: Readonly<Record<string, unknown>>): void {
    if (this.#raw.readyState === OPEN) this.#raw.send(JSON.stringify(message));
  }

  #leave(): void {
    clearInterval(this.#pinger);
    this.#inbox.end();
    this.#gone.abort();
  }

  #broken(error: Error & { readonly code?: string }): void {
    if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") this.fault(this.#tooLarge());
    else this.#leave();
  }

  /**
   * A client that answers no ping is gone, but for two cases where its silence means nothing: we do not read, or it
   * does not (then TCP watches over what is unsent).
   */
  #ping(): void {
    if (this.#unanswered >= 2 && !this.#paused && this.#raw.bufferedAmount === 0) {
      return this.#raw.terminate();
    }
    this.#unanswered++;
    this.#raw.ping();
  }

  #receive(data: { toString(): string }, binary: boolean): void {
    if (!this.#inbox.open) return;
    try {
      if (binary) throw new WrennError("invalid_request", "Messages must be JSON text");
      const text = data.toString();
      const size = byteLength(text);
      if (size > this.#limits.messageBytes) throw this.#tooLarge();
      const room = this.#inbox.push({ value: parseJson(text, this.#limits), size });
      if (this.#inbox.weight >= this.#limits.pendingBytes && !this.#paused) {
        this.#paused = true;
        this.#raw.pause();
        void room.then(() => {
          this.#paused = false;
          this.#raw.resume();
        });
      }
    } catch (error) {
      this.fault(toWrennError(error));
    }
  }

  #tooLarge(): WrennError {
    const { messageBytes } = this.#limits;
    return new WrennError("payload_too_large", `Message is larger than ${messageBytes} bytes`);
  }
}

function parseJson(text: string, limits: ApiLimits): unknown {
  checkJson(text, limits);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WrennError("invalid_json", "Message is not valid JSON", { cause });
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (!result.success) throw invalidInput("message", result.error.issues);
  return result.data;
}
