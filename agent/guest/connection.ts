/** The HTTP connection pool to one VM's guest agent, and the token that opens it. */
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { Process } from "@wrenn/proto/process";
import { Filesystem } from "@wrenn/proto/filesystem";
import { abortableFetch, type WrennError } from "@wrenn/common";
import { asDatagram, ask, type ControlAddress } from "./control.ts";
import { fromGuestFetch, unavailable } from "./errors.ts";

/** Largest message a guest may send, bytes: a long directory listing fits, a flood does not. */
const READ_MAX_BYTES = 32 * 1024 * 1024;

/** Of what a guest says about a failed call, characters. */
const MAX_REASON = 500;

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
   * A call of the host agent's own: by datagram, or by HTTP when it is too large for one.
   *
   * @returns The answer's JSON, undefined for none. @throws {WrennError} `guest_unavailable`, or the signal's reason.
   */
  async control(path: string, call: unknown, signal: AbortSignal): Promise<unknown> {
    this.#closed.signal.throwIfAborted();
    const body = JSON.stringify(call);
    const datagram = asDatagram({ token: this.#token, path, body });
    const either = AbortSignal.any([signal, this.#closed.signal]);
    try {
      const { status, body: answer } = datagram
        ? await ask(this.#address, datagram, either)
        : await this.#post(path, body, signal);
      if (status >= 300) throw unavailable(new Error(`${status} ${answer}`.slice(0, MAX_REASON)));
      return answer === "" ? undefined : JSON.parse(answer);
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

  async #post(
    path: string,
    body: string,
    signal: AbortSignal,
  ): Promise<{ status: number; body: string }> {
    const headers = { "content-type": "application/json" };
    const response = await this.fetch(path, { method: "POST", headers, body, signal });
    return { status: response.status, body: await response.text() };
  }

  #send(request: Request, signal: AbortSignal): Promise<Response> {
    this.#closed.signal.throwIfAborted();
    return abortableFetch(request, {
      client: this.#http,
      signal: AbortSignal.any([signal, this.#closed.signal]),
    });
  }
}

/** Header that names the Linux user of an RPC; none for the default user. */
export function userHeader(user: string): Record<string, string> {
  if (user === "") return {};
  return { authorization: `Basic ${new TextEncoder().encode(`${user}:`).toBase64()}` };
}
