/** The HTTP connection pool to one VM's guest agent, and the token that opens it. */
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { Process } from "@wrenn/proto/process";
import { Filesystem } from "@wrenn/proto/filesystem";
import {
  abortableFetch,
  type ControlAnswer,
  ELSEWHERE,
  MAX_CONTROL_BYTES,
  WrennError,
} from "@wrenn/common";
import { asDatagram, ask, type ControlAddress, type Datagram } from "./control.ts";
import { fromGuestAnswer, fromGuestFetch, fromGuestResponse, unavailable } from "./errors.ts";

/** Largest message a guest may send, bytes: a long directory listing fits, a flood does not. */
const READ_MAX_BYTES = 32 * 1024 * 1024;
/** How long a guest is told that nobody waits for an answer. */
const CANCEL_LIMIT_MS = 5_000;

/**
 * A pool of its own per VM, closed with it, so that no byte of one VM can reach another through a pooled
 * connection. Every request ends with the connection.
 */
export class GuestConnection {
  /** `http://address:port`. */
  readonly baseUrl: string;
  /** The guest's processes. */
  readonly process: Client<typeof Process>;
  /** The guest's file system. */
  readonly filesystem: Client<typeof Filesystem>;
  readonly #http: Deno.HttpClient;
  readonly #closed = new AbortController();
  readonly #address: ControlAddress;
  #token = "";

  /** @param baseUrl `http://address:port` of the guest agent. */
  constructor(baseUrl: string) {
    this.baseUrl = baseUrl;
    const { hostname, port } = new URL(baseUrl);
    this.#address = { hostname, port: Number(port) };
    this.#http = Deno.createHttpClient({ http2: false, poolIdleTimeout: false });
    const authorize: Interceptor = (next) => (request) => {
      request.header.set("x-access-token", this.#token);
      return next(request);
    };
    const send = (request: Request): Promise<Response> => this.#send(request, request.signal);
    const transport = createTransport({
      httpClient: createFetchClient(send as typeof fetch),
      baseUrl,
      useBinaryFormat: true,
      interceptors: [authorize],
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: 1024,
      readMaxBytes: READ_MAX_BYTES,
      writeMaxBytes: 0xffffffff,
    });
    this.process = createClient(Process, transport);
    this.filesystem = createClient(Filesystem, transport);
  }

  /** Shows this token from here on. */
  authorize(token: string): void {
    this.#token = token;
  }

  /** A plain HTTP request; `path` begins with a slash. Compression is off: ranges and sizes are of the file. */
  fetch(path: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#token !== "") headers.set("x-access-token", this.#token);
    if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
    return this.#send(new Request(`${this.baseUrl}${path}`, { ...init, headers }), init.signal);
  }

  /**
   * A call of the host agent's own that is answered with JSON.
   *
   * @returns Undefined for no answer. @throws {WrennError} `guest_unavailable`, or the signal's reason.
   */
  async control(path: string, call: unknown, signal: AbortSignal): Promise<unknown> {
    try {
      const bytes = await this.call(path, call, signal, MAX_CONTROL_BYTES);
      return bytes.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(bytes));
    } catch (error) {
      throw this.closedBy ?? unavailable(error);
    }
  }

  /**
   * A call of the host agent's own: by datagram, or by HTTP when question or answer are too large for one. When the
   * signal aborts the guest is told.
   *
   * @param most Bytes of the answer at most. @throws As the call fails in the guest, `guest_unavailable`, or the
   * signal's reason.
   */
  async call(
    path: string,
    call: unknown,
    signal: AbortSignal,
    most: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.#closed.signal.throwIfAborted();
    const body = JSON.stringify(call);
    const datagram = asDatagram({ token: this.#token, path, body });
    try {
      if (!datagram) return await this.#fetchBytes(path, { method: "POST", body, signal }, most);
      const either = AbortSignal.any([signal, this.#closed.signal]);
      const { id, status, body: answer } = await this.#ask(datagram, either);
      if (status === ELSEWHERE) return await this.#fetchBytes(`/answers/${id}`, { signal }, most);
      if (status >= 300) throw fromGuestAnswer(status, answer);
      if (answer.length > most) throw tooLarge(answer.length);
      return answer;
    } catch (error) {
      throw this.closedBy ?? fromGuestFetch(error, signal);
    }
  }

  /** Why the connection was closed; undefined while it is open. */
  get closedBy(): WrennError | undefined {
    return this.#closed.signal.aborted ? this.#closed.signal.reason as WrennError : undefined;
  }

  /** Ends every request with `reason` and drops the pool. Idempotent. */
  close(reason: WrennError): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(reason);
    this.#http.close();
  }

  async #ask(question: Datagram, signal: AbortSignal): Promise<ControlAnswer> {
    try {
      return await ask(this.#address, question, signal);
    } catch (error) {
      if (signal.aborted && this.closedBy === undefined) void this.#cancel(question.id);
      throw error;
    }
  }

  /** A guest that does not hear of it finds out by itself. */
  async #cancel(id: string): Promise<void> {
    const cancel = asDatagram({ token: this.#token, path: "/cancel", body: JSON.stringify(id) });
    const limit = AbortSignal.any([AbortSignal.timeout(CANCEL_LIMIT_MS), this.#closed.signal]);
    if (cancel) await ask(this.#address, cancel, limit).catch(() => {});
  }

  async #fetchBytes(
    path: string,
    init: RequestInit & { signal: AbortSignal },
    most: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const response = await this.fetch(path, init);
    if (!response.ok) throw await fromGuestResponse(response);
    const told = Number(response.headers.get("content-length") ?? 0);
    if (told <= most) return new Uint8Array(await response.arrayBuffer());
    await response.body?.cancel();
    throw tooLarge(told);
  }

  #send(request: Request, signal: AbortSignal): Promise<Response> {
    this.#closed.signal.throwIfAborted();
    return abortableFetch(request, {
      client: this.#http,
      signal: AbortSignal.any([signal, this.#closed.signal]),
    });
  }
}

function tooLarge(bytes: number): WrennError {
  return unavailable(new WrennError("payload_too_large", `Answer of ${bytes} bytes`));
}

/** Header that names the Linux user of an RPC; none for the default user. */
export function userHeader(user: string): Record<string, string> {
  if (user === "") return {};
  return { authorization: `Basic ${new TextEncoder().encode(`${user}:`).toBase64()}` };
}
