/**
 * The host agent's calls of a guest agent by UDP: one datagram for the question, one for the answer. An emulated guest
 * that was restored translates every piece of code that it runs again, and this way is a third of the code of the HTTP
 * one. The HTTP routes of the same paths stay, for what does not fit a datagram.
 *
 * ```
 * question  "{id} {token} {path}\n{body}"   token "-" for none, body JSON or empty
 * answer    "{id} {status}\n{body}"         body as the path has it; an error's is JSON {code, message}
 * ```
 *
 * A question is repeated until it is answered: who has seen its id does nothing but answer again, with status 102 while
 * the work is under way. What is too large for a datagram is answered with status 303 and fetched by HTTP from
 * `/answers/{id}`. `/cancel` with a question's id as a JSON string ends its command, as does a caller who is silent for
 * half a minute.
 */

/** A question. */
export interface ControlQuestion {
  /** Unique among the caller's questions: no blanks. */
  readonly id: string;
  /** Token that opens the guest; "" for none. */
  readonly token: string;
  /** Path of the HTTP route. */
  readonly path: string;
  /** JSON, or "". */
  readonly body: string;
}

/** An answer. */
export interface ControlAnswer {
  readonly id: string;
  /** As in HTTP; 102 while the work is under way, 303 when it lies at `/answers/{id}`. */
  readonly status: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Largest datagram, bytes: it fits UDP over IPv4 with room. */
export const MAX_CONTROL_BYTES = 60_000;
/** Status of an answer that is yet to come. */
export const UNDER_WAY = 102;
/** Status of an answer that is to be fetched. */
export const ELSEWHERE = 303;

const NEWLINE = 10;
const utf8 = new TextEncoder();
const utf8Text = new TextDecoder();

/** The bytes of a question. */
export function encodeQuestion(
  { id, token, path, body }: ControlQuestion,
): Uint8Array<ArrayBuffer> {
  return utf8.encode(`${id} ${token || "-"} ${path}\n${body}`);
}

/** The question in a datagram; undefined when it is none. */
export function decodeQuestion(bytes: Uint8Array): ControlQuestion | undefined {
  const text = utf8Text.decode(bytes);
  const end = text.indexOf("\n");
  const [id, token, path, ...more] = text.slice(0, Math.max(end, 0)).split(" ");
  if (!id || !token || !path || more.length > 0) return undefined;
  return { id, token: token === "-" ? "" : token, path, body: text.slice(end + 1) };
}

/** The bytes of an answer. */
export function encodeAnswer({ id, status, body }: ControlAnswer): Uint8Array<ArrayBuffer> {
  const head = utf8.encode(`${id} ${status}\n`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

/** The answer in a datagram; undefined when it is none. */
export function decodeAnswer(bytes: Uint8Array<ArrayBuffer>): ControlAnswer | undefined {
  const end = bytes.indexOf(NEWLINE);
  const [id, status, ...more] = utf8Text.decode(bytes.subarray(0, Math.max(end, 0))).split(" ");
  const number = Number(status);
  if (!id || !Number.isInteger(number) || number < 100 || more.length > 0) return undefined;
  return { id, status: number, body: bytes.slice(end + 1) };
}
