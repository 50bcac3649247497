/** Response bodies that flow only as fast as the client reads. */

/**
 * A body of pieces, one pulled for each one sent.
 *
 * @param cancel Called when the client leaves before the end.
 */
export function byteStream(
  pieces: AsyncIterable<Uint8Array>,
  cancel: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value as Uint8Array<ArrayBuffer>);
    },
    async cancel() {
      cancel();
      // The iterator may end with the error of its own cancellation: nobody is left to hear it.
      await iterator.return?.().catch(() => {});
    },
  }, { highWaterMark: 0 });
}
