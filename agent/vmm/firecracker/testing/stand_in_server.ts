/** HTTP as Firecracker speaks it: small bodies of known length, JSON, no more. */
import type { StandInAnswer } from "./stand_in_machine.ts";

/** Largest body, in bytes. */
const MAX_BODY_BYTES = 51_200;

/** Answers a request whose transport is in order. */
export type Answerer = (method: string, path: string, body: string) => Promise<StandInAnswer>;

/** A server on a Unix socket. */
export interface StandInServer extends AsyncDisposable {
  /** Settles with the exit code when the machine has ended and the last answer is out. */
  readonly ended: Promise<number>;
}

/**
 * Serves on a Unix socket, which must be free.
 *
 * @throws {Deno.errors.AddrInUse} and other errors of `Deno.serve`.
 */
export function serveStandIn(path: string, answer: Answerer): StandInServer {
  const ended = Promise.withResolvers<number>();
  const server = Deno.serve({ path, onListen: () => {} }, async (request) => {
    const refusal = await transportFault(request);
    if (refusal !== undefined) return respond(400, { error: refusal });
    // A GET request has no body here, whatever was sent.
    if (request.method === "GET" && Number(request.headers.get("content-length")) > 0) {
      return respond(400, { fault_message: "GET request cannot have a body." });
    }
    const body = await request.text();
    const { pathname } = new URL(request.url);
    const { status, body: content, exit } = await answer(request.method, pathname, body);
    if (exit !== undefined) server.shutdown().then(() => ended.resolve(exit));
    return respond(status, content);
  });
  return {
    ended: ended.promise,
    [Symbol.asyncDispose]: async () => await server.shutdown(),
  };
}

/** What is wrong with the request before its path and body are looked at. Firecracker's own words for the size. */
async function transportFault(request: Request): Promise<string | undefined> {
  const { headers } = request;
  if (!["GET", "PUT", "PATCH"].includes(request.method)) return "Unsupported HTTP method.";
  const length = Number(headers.get("content-length") ?? 0);
  const chunked = headers.has("transfer-encoding");
  if (!chunked && length <= MAX_BODY_BYTES) return undefined;
  await request.body?.cancel();
  return chunked
    ? "Chunked bodies are not supported"
    : `Request payload with size ${length} is larger than the limit of ${MAX_BODY_BYTES} allowed by server.`;
}

function respond(status: number, body: object | undefined): Response {
  return body === undefined ? new Response(null, { status }) : new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json" },
  });
}
