/** `fetch` whose signal holds until the body has been read. */

/** What must live as long as a body that is being read. */
const held = new WeakMap<ReadableStream, readonly unknown[]>();

/**
 * `fetch` as it should be: Deno (2.9.6) forgets the signal of a request once its `Response` is garbage, so that who
 * only keeps the body cannot abort it any more and reads for ever. Here the body keeps its response alive, and the
 * signal, which may be a dependent one that nobody else holds.
 */
export async function abortableFetch(
  input: RequestInfo | URL,
  init?: RequestInit & { client?: Deno.HttpClient },
): Promise<Response> {
  const response = await fetch(input, init);
  if (response.body) held.set(response.body, [response, init?.signal]);
  return response;
}
