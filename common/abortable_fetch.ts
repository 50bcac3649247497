/** `fetch` whose signal holds until the body has been read. */

/** The response of a body that is being read. An entry lives as long as its body. */
const responses = new WeakMap<ReadableStream, Response>();

/**
 * `fetch` as it should be: Deno (2.9.6) forgets the signal of a request once its `Response` is garbage, so that who
 * only keeps the body cannot abort it any more and reads for ever. Here the body keeps its response alive.
 */
export async function abortableFetch(
  input: RequestInfo | URL,
  init?: RequestInit & { client?: Deno.HttpClient },
): Promise<Response> {
  const response = await fetch(input, init);
  if (response.body) responses.set(response.body, response);
  return response;
}
