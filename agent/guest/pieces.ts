/** Bytes in pieces of one size. */

/** Size of a piece on the agent's wire. */
export const PIECE_BYTES: number = 64 * 1024;
/** Size of a piece of a chunked upload to the guest: with its frame one read of `Deno.serve` (decision 006). */
export const UPLOAD_PIECE_BYTES = 65_518;

/** Cuts and joins chunks into pieces of exactly `size` bytes; the last may be shorter. No empty pieces. */
export async function* inPieces(
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>>,
  size: number = PIECE_BYTES,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let piece = new Uint8Array(size);
  let filled = 0;
  for await (const chunk of chunks) {
    let at = 0;
    while (at < chunk.length) {
      // A whole piece inside one chunk needs no copy.
      if (filled === 0 && chunk.length - at >= size) {
        yield chunk.subarray(at, at + size);
        at += size;
        continue;
      }
      const part = chunk.subarray(at, at + size - filled);
      piece.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled === size) {
        yield piece;
        piece = new Uint8Array(size);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}
