/**
 * The app behind `node:http`. Deno.serve (2.9.6) reads up to 64 KiB from the socket for every piece of a chunked body
 * that a handler takes, whatever the piece's size: a fast sender of small chunks fills the memory of a process
 * whose guest is slow, and each further chunk moves all of it. `node:http` keeps its backpressure.
 * See docs/decisions/006-http-server.md.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type ListenAddress, type Logger, WrennError } from "@wrenn/common";
import { errorResponse } from "./errors.ts";
import { acceptUpgrade, isUpgraded, type RawSocket } from "./raw_socket.ts";
import { toRequest } from "./node_request.ts";
import { writeRaw, writeResponse } from "./node_response.ts";

/** What the server knows about a request beside the request. */
export interface RequestInfo {
  /** Address of the client. */
  readonly remote?: string | undefined;
  /** Settles when the answer is out, rejects when the client left before. */
  readonly completed?: Promise<void>;
  /** Present when the client asks for a WebSocket. */
  readonly upgrade?: () => Promise<RawSocket>;
}

/** Answers a request; never rejects. */
export type FetchHandler = (request: Request, info: RequestInfo) => Promise<Response>;

/** Options of {@linkcode listen}. */
export interface ListenOptions {
  readonly address: ListenAddress;
  readonly fetch: FetchHandler;
  readonly log: Logger;
  /** Largest request head, bytes. Default 48 KiB, above what the app itself allows. */
  readonly headBytes?: number;
  /** Time for the whole head, milliseconds. Default 20 s. */
  readonly headTimeoutMs?: number;
  /** Largest WebSocket message, bytes. Default 2 MiB, above what the app itself allows. */
  readonly messageBytes?: number;
}

/** A listening server. */
export interface HttpServer {
  readonly address: Deno.Addr;
  /** Takes no new connections, lets requests under way end for `ms` milliseconds, then cuts them off. */
  drain(ms: number): Promise<void>;
}

/** A client that was answered early may go on sending this long before its connection is cut. */
const LINGER_MS = 5_000;
const KEEP_ALIVE_MS = 65_000;

/** Starts to listen. Rejects with `Deno.errors.AddrInUse` when somebody does already. */
export async function listen(options: ListenOptions): Promise<HttpServer> {
  const { fetch, log, headBytes = 48 * 1024, headTimeoutMs = 20_000 } = options;
  const server = createServer({
    maxHeaderSize: headBytes,
    headersTimeout: headTimeoutMs,
    // Bodies have no limit as a whole; routes bound their silence instead.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
    connectionsCheckingInterval: Math.min(5_000, headTimeoutMs),
  });
  const upgraded = new Set<Socket>();
  server.on("request", (req, res) => void answer(req, res, fetch, log));
  server.on("upgrade", (req: IncomingMessage, socket: Socket, head: Uint8Array) => {
    upgraded.add(socket);
    socket.once("close", () => upgraded.delete(socket));
    void answerUpgrade(req, socket, head, options);
  });
  server.on("clientError", (error: Error & { code?: string }, socket: Socket) => {
    refuse(error, socket);
  });
  await started(server, options.address);
  return {
    address: addressOf(server, options.address),
    drain: async (ms) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = setTimeout(() => {
        server.closeAllConnections();
        for (const socket of upgraded) socket.destroy();
      }, ms);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function answer(
  req: IncomingMessage,
  res: ServerResponse,
  fetch: FetchHandler,
  log: Logger,
): Promise<void> {
  const completed = Promise.withResolvers<void>();
  completed.promise.catch(() => {});
  const gone = new AbortController();
  res.once("close", () => {
    if (res.writableFinished) completed.resolve();
    else {
      gone.abort();
      completed.reject(new WrennError("canceled", "Client left"));
    }
  });
  res.once("finish", () => {
    if (req.complete || req.socket.destroyed) return;
    // The rest is read and dropped, so that the client gets to read its answer; but not for ever.
    req.removeAllListeners("readable");
    req.resume();
    const timer = setTimeout(() => req.destroy(), LINGER_MS);
    const stop = (): void => clearTimeout(timer);
    req.once("end", stop);
    req.socket.once("close", stop);
  });
  try {
    const request = toRequest(req, gone.signal);
    const info = { remote: req.socket.remoteAddress, completed: completed.promise };
    const response = request instanceof WrennError
      ? errorResponse(request)
      : await fetch(request, info);
    await writeResponse(res, response);
  } catch (error) {
    // The answer broke on its way: the client sees a cut connection, not a short file.
    if (!gone.signal.aborted) log.warn("Answer broke off", { error });
    res.destroy();
  }
}

async function answerUpgrade(
  req: IncomingMessage,
  socket: Socket,
  head: Uint8Array,
  { fetch, log, messageBytes = 2 * 1024 * 1024 }: ListenOptions,
): Promise<void> {
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  // Without a listener an error of the socket would end the process.
  socket.on("error", leave);
  socket.once("close", leave);
  try {
    const request = toRequest(req, gone.signal, { body: false });
    const hasBody = req.headers["content-length"] !== undefined ||
      req.headers["transfer-encoding"] !== undefined;
    const response = request instanceof WrennError
      ? errorResponse(request)
      : hasBody
      ? errorResponse(new WrennError("invalid_request", "An upgrade takes no body"))
      : await fetch(request, {
        remote: socket.remoteAddress,
        upgrade: () => acceptUpgrade(req, socket, head, messageBytes),
      });
    if (!isUpgraded(response)) await writeRaw(socket, response);
  } catch (error) {
    log.warn("Upgrade broke off", { error });
    socket.destroy();
  }
}

/** Answers what is no HTTP request at all, in the shape of every other error. */
function refuse(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable) return void socket.destroy();
  const fault = error.code === "HPE_HEADER_OVERFLOW"
    ? new WrennError("headers_too_large", "Request head is too large")
    : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
    ? new WrennError("request_timeout", "Request head did not arrive in time")
    : new WrennError("invalid_request", "Malformed HTTP request");
  socket.on("error", () => {});
  writeRaw(socket, errorResponse(fault)).catch(() => socket.destroy());
}

function started(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: Error & { code?: string }) => {
      const where = address.transport === "unix"
        ? address.path
        : `${address.hostname}:${address.port}`;
      reject(
        error.code === "EADDRINUSE"
          ? new Deno.errors.AddrInUse(`Cannot listen at '${where}': address in use`)
          : new Error(`Cannot listen at '${where}'`, { cause: error }),
      );
    });
    if (address.transport === "unix") server.listen(address.path, resolve);
    else server.listen(address.port, address.hostname, resolve);
  });
}

function addressOf(server: Server, given: ListenAddress): Deno.Addr {
  if (given.transport === "unix") return { transport: "unix", path: given.path };
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : given.port;
  return { transport: "tcp", hostname: given.hostname, port };
}
