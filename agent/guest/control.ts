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

/** Time until a question is repeated, which doubles: a restored guest needs a while for its first answer. */
const REPEAT_MIN_MS = 250;
/** The most while the guest says that it is at work: what is lost is not missed for long. */
const REPEAT_MAX_MS = 5_000;
/**
 * While it says nothing: one that stands still finds all questions when it goes on. Less than the silence after which it
 * takes a caller for gone (`envd/control/datagrams.ts`).
 */
const SILENT_MAX_MS = 20_000;
const ID_BYTES = 8;

/** Where a guest agent listens. */
export interface ControlAddress {
  readonly hostname: string;
  readonly port: number;
}

/** A question, ready to be sent. */
export interface Datagram {
  readonly id: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The question as a datagram; undefined when it is too large for one. */
export function asDatagram(question: Omit<ControlQuestion, "id">): Datagram | undefined {
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
  { id, bytes }: Datagram,
  signal: AbortSignal,
): Promise<ControlAnswer> {
  signal.throwIfAborted();
  const socket = dgram.createSocket("udp4");
  const { promise, resolve, reject } = Promise.withResolvers<ControlAnswer>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let heard = false;
  const send = (pause: number): void => {
    socket.send(bytes, port, hostname, (error) => error && reject(error));
    const most = heard ? REPEAT_MAX_MS : SILENT_MAX_MS;
    heard = false;
    timer = setTimeout(() => send(Math.min(2 * pause, most)), Math.min(pause, most));
  };
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  socket.on("error", reject);
  socket.on("message", (message, from) => {
    const answer = from.address === hostname ? decodeAnswer(new Uint8Array(message)) : undefined;
    if (answer?.id !== id) return;
    if (answer.status === UNDER_WAY) heard = true;
    else resolve(answer);
  });
  send(REPEAT_MIN_MS);
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    socket.close();
  });
}
