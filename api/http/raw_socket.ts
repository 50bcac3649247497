/** Server side of a WebSocket, by the npm package `ws`. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { WebSocketServer } from "ws";

/** The part of a `ws` socket that is used here. */
export interface RawSocket {
  /** Bytes given to `send` that the network has not taken. */
  readonly bufferedAmount: number;
  /** 1 while open. */
  readonly readyState: number;
  on(event: "message", listener: (data: { toString(): string }, binary: boolean) => void): void;
  on(event: "close" | "pong", listener: () => void): void;
  on(event: "error", listener: (error: Error & { readonly code?: string }) => void): void;
  send(text: string): void;
  ping(): void;
  close(code: number, reason?: string): void;
  /** Cuts the connection. */
  terminate(): void;
  /** Stops reading: the client's sending stops by TCP. */
  pause(): void;
  resume(): void;
}

interface RawServer {
  handleUpgrade(
    request: IncomingMessage,
    socket: Socket,
    head: Uint8Array,
    done: (socket: RawSocket) => void,
  ): void;
}

const RawServer = WebSocketServer as new (options: Record<string, unknown>) => RawServer;
const upgraded = new WeakSet<Response>();

/** Answers the handshake. The socket must be used at once: messages that nobody hears are lost. */
export function acceptUpgrade(
  request: IncomingMessage,
  socket: Socket,
  head: Uint8Array,
  messageBytes: number,
): Promise<RawSocket> {
  const server = new RawServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageBytes,
  });
  return new Promise((resolve, reject) => {
    // A handshake that `ws` refuses is answered by it and ends the socket.
    socket.once("close", () => reject(new Error("Connection closed inside the handshake")));
    server.handleUpgrade(request, socket, head, resolve);
  });
}

/** What a route answers after an upgrade: it stands for the 101 that is already out. */
export function upgradedResponse(): Response {
  const response = new Response(null);
  upgraded.add(response);
  return response;
}

/** True for what {@linkcode upgradedResponse} made. */
export function isUpgraded(response: Response): boolean {
  return upgraded.has(response);
}
