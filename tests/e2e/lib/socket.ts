/** A WebSocket without the SDK, for messages that the SDK would not send. */
import WebSocket from "ws";
import { platform } from "./platform.ts";

type Message = Record<string, unknown>;
/** The part of a `ws` socket that is used here. */
interface WsSocket {
  on(event: string, listener: (...args: never[]) => void): void;
  send(data: string | Uint8Array): void;
  terminate(): void;
}

/** An open WebSocket. */
export interface RawSocket extends AsyncDisposable {
  send(text: string | Uint8Array): void;
  /** Resolves at the next message. */
  next(): Promise<void>;
  /** All messages and the close code. */
  readonly ended: Promise<{ messages: Message[]; code: number }>;
}

/** Opens a WebSocket with the key of the run. */
export async function rawSocket(path: string): Promise<RawSocket> {
  const { apiUrl, apiKey } = platform();
  const socket: WsSocket = new WebSocket(apiUrl.replace(/^http/, "ws") + path, {
    headers: { "x-api-key": apiKey },
    perMessageDeflate: false,
  });
  const messages: Message[] = [];
  let wake: (() => void) | undefined;
  let seen = 0;
  socket.on("message", (data: { toString(): string }) => {
    messages.push(JSON.parse(data.toString()));
    wake?.();
  });
  const ended = new Promise<{ messages: Message[]; code: number }>((resolve) => {
    socket.on("close", (code: number) => {
      resolve({ messages, code });
      wake?.();
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.on("open", () => resolve());
    socket.on("error", reject);
  });
  return {
    send: (text) => socket.send(text),
    async next() {
      while (messages.length <= seen) await new Promise<void>((resolve) => wake = resolve);
      seen++;
    },
    ended,
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await ended;
    },
  };
}
