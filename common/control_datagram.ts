/**
 * The host agent's calls of a guest agent by UDP: one datagram for the question, one for the answer. An emulated guest
 * that was restored translates every piece of code that it runs again, and this way is a third of the code of the HTTP
 * one. The HTTP routes of the same paths stay, for what does not fit a datagram.
 *
 * ```
 * question  "{id} {token} {path}\n{body}"   token "-" for none, body JSON or empty
 * answer    "{id} {status}\n{body}"         body JSON or empty; an error's is {code, message}
 * ```
 *
 * A question is repeated until it is answered: who has seen its id does nothing but answer again, with status 102 while
 * the work is under way.
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
  /** As in HTTP; 102 while the work is under way. */
  readonly status: number;
  /** JSON, or "". */
  readonly body: string;
}

/** Largest datagram, bytes: it fits UDP over IPv4 with room. */
export const MAX_CONTROL_BYTES = 60_000;
/** Status of an answer that is yet to come. */
export const UNDER_WAY = 102;

/** The bytes of a question. */
export function encodeQuestion(
  { id, token, path, body }: ControlQuestion,
): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${id} ${token || "-"} ${path}\n${body}`);
}

/** The question in a datagram; undefined when it is none. */
export function decodeQuestion(bytes: Uint8Array): ControlQuestion | undefined {
  const [words, body] = split(bytes);
  const [id, token, path, ...more] = words;
  if (!id || !token || !path || more.length > 0) return undefined;
  return { id, token: token === "-" ? "" : token, path, body };
}

/** The bytes of an answer. */
export function encodeAnswer({ id, status, body }: ControlAnswer): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${id} ${status}\n${body}`);
}

/** The answer in a datagram; undefined when it is none. */
export function decodeAnswer(bytes: Uint8Array): ControlAnswer | undefined {
  const [words, body] = split(bytes);
  const [id, status, ...more] = words;
  const number = Number(status);
  if (!id || !Number.isInteger(number) || number < 100 || more.length > 0) return undefined;
  return { id, status: number, body };
}

function split(bytes: Uint8Array): [words: string[], body: string] {
  const text = new TextDecoder().decode(bytes);
  const end = text.indexOf("\n");
  return end < 0 ? [[], ""] : [text.slice(0, end).split(" "), text.slice(end + 1)];
}
