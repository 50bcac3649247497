/** Request bodies with bounds: never more bytes, never longer silence than allowed. */
import { WrennError } from "@wrenn/common";

/**
 * Largest piece that goes to a host agent, bytes: 64 KiB with the message and the HTTP chunk around it (9 bytes each).
 * Deno.serve, which receives it, reads up to 64 KiB from the socket for every chunk it hands out: with this size a chunk
 * is all of that, and what a slow guest has not taken stays with the sender. See docs/decisions/006-http-server.md.
 */
export const PIECE_BYTES: number = 64 * 1024 - 18;

/**
 * The body in full pieces of at most 64 KiB, read as fast as the consumer asks. All pieces share one buffer: each is
 * valid until the next one is asked for, which keeps a large transfer from leaving its size in garbage.
 *
 * @param idleMs Longest wait for the next piece, milliseconds.
 * @throws {WrennError} `request_timeout` after silence, `canceled` when the client is gone.
 */
export async function* bodyPieces(request: Request, idleMs: number): AsyncGenerator<Uint8Array> {
  if (!request.body) return;
  const reader = request.body.getReader();
  let ended = false;
  const piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  try {
    while (true) {
      const { done, value } = await readWithin(reader, idleMs);
      if (done) {
        ended = true;
        if (filled > 0) yield piece.subarray(0, filled);
        return;
      }
      for (let at = 0; at < value.length;) {
        const part = value.subarray(at, at + PIECE_BYTES - filled);
        piece.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === PIECE_BYTES) {
          yield piece;
          filled = 0;
        }
      }
    }
  } finally {
    // A body that is not wanted to its end: the connection is of no further use.
    if (!ended) void reader.cancel().catch(() => {});
  }
}

/**
 * The whole body as text.
 *
 * @throws {WrennError} `payload_too_large`, `request_timeout`, `canceled`, `invalid_json` when it is not UTF-8.
 */
export async function bodyText(
  request: Request,
  limits: { readonly jsonBytes: number; readonly jsonTimeoutMs: number },
): Promise<string> {
  const tooLarge = (): WrennError =>
    new WrennError("payload_too_large", `Request body is larger than ${limits.jsonBytes} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > limits.jsonBytes) throw tooLarge();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const deadline = performance.now() + limits.jsonTimeoutMs;
  let text = "";
  let size = 0;
  if (!request.body) return "";
  const reader = request.body.getReader();
  try {
    while (true) {
      const { done, value } = await readWithin(reader, deadline - performance.now());
      if (done) return text + decoder.decode();
      size += value.length;
      if (size > limits.jsonBytes) throw tooLarge();
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    void reader.cancel().catch(() => {});
    if (error instanceof WrennError) throw error;
    throw new WrennError("invalid_json", "Request body is not UTF-8", { cause: error });
  }
}

async function readWithin(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  ms: number,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new WrennError("request_timeout", "Request body did not arrive in time")),
      Math.max(0, ms),
    );
  });
  try {
    return await Promise.race([reader.read(), late]);
  } catch (error) {
    if (error instanceof WrennError) throw error;
    throw new WrennError("canceled", "Request body broke off", { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
