/** Asking a guest agent by UDP (`common/control_datagram.ts`). */
import dgram from "node:dgram";
import {
  type ControlAnswer,
  type ControlQuestion,
  decodeAnswer,
  encodeQuestion,
  MAX_CONTROL_BYTES,
  randomHex,
  UNDER_WAY,
} from "@wrenn/common";

/** Time until a question is repeated, which doubles up to a second: a restored guest needs a while for its first. */
const REPEAT_MIN_MS = 250;
const REPEAT_MAX_MS = 1_000;
const ID_BYTES = 8;

/** Where a guest agent listens. */
export interface ControlAddress {
  readonly hostname: string;
  readonly port: number;
}

/** The question as a datagram; undefined when it is too large for one. */
export function asDatagram(
  question: Omit<ControlQuestion, "id">,
): { id: string; bytes: Uint8Array<ArrayBuffer> } | undefined {
  const id = randomHex(ID_BYTES);
  const bytes = encodeQuestion({ id, ...question });
  return bytes.length > MAX_CONTROL_BYTES ? undefined : { id, bytes };
}

/**
 * Asks until there is an answer.
 *
 * @throws The signal's reason, or the error of the socket.
 */
export function ask(
  { hostname, port }: ControlAddress,
  { id, bytes }: { id: string; bytes: Uint8Array<ArrayBuffer> },
  signal: AbortSignal,
): Promise<ControlAnswer> {
  signal.throwIfAborted();
  const socket = dgram.createSocket("udp4");
  const { promise, resolve, reject } = Promise.withResolvers<ControlAnswer>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const send = (pause: number): void => {
    socket.send(bytes, port, hostname, (error) => error && reject(error));
    timer = setTimeout(send, pause, Math.min(2 * pause, REPEAT_MAX_MS));
  };
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  socket.on("error", reject);
  socket.on("message", (message, from) => {
    const answer = from.address === hostname ? decodeAnswer(message) : undefined;
    if (answer?.id === id && answer.status !== UNDER_WAY) resolve(answer);
  });
  send(REPEAT_MIN_MS);
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    socket.close();
  });
}
