/** The HTTP connection pool to one VM's guest agent, and the token that opens it. */
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { Process } from "@wrenn/proto/process";
import { Filesystem } from "@wrenn/proto/filesystem";
import { abortableFetch, type WrennError } from "@wrenn/common";

/** Largest message a guest may send, bytes: a long directory listing fits, a flood does not. */
const READ_MAX_BYTES = 32 * 1024 * 1024;

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
  #token = "";

  /** @param baseUrl `http://address:port` of the guest agent. */
  constructor(baseUrl: string) {
    this.baseUrl = baseUrl;
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
