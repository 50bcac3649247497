/** Connect RPC services as one fetch handler for `Deno.serve`. */
import {
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { type LinkedSignal, linkSignals } from "./abort.ts";

/** Answers a request that belongs to a service, or returns undefined. */
export type RpcHandler = (request: Request) => Promise<Response> | undefined;

/**
 * Builds the handler. Requests are told apart by path, so it can stand beside other routes.
 *
 * Bidirectional streams run over HTTP/1.1 too, which Deno carries full-duplex.
 */
export function connectHandler(
  routes: (router: ConnectRouter) => void,
  options: ConnectRouterOptions = {},
): RpcHandler {
  const router = createConnectRouter({ grpc: false, grpcWeb: false, ...options });
  routes(router);
  const byPath = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request) => {
    const handler = byPath.get(new URL(request.url).pathname);
    return handler && answer(handler, request);
  };
}

/**
 * Connect's own fetch adapter leaves a request half read when a handler ends early, and its sender blocks for
 * ever. Here what is left of the request ends with the response. And a client that leaves early may be told by the
 * response's body alone: Deno (2.9.6) then does not always abort the request's signal, so here the body does.
 */
async function answer(handler: UniversalHandler, request: Request): Promise<Response> {
  const reader = request.body?.getReader();
  const call = linkSignals(request.signal);
  const dropRest = (): void => {
    call[Symbol.dispose]();
    // A request that broke is at its end all the same.
    reader?.cancel().catch(() => {});
  };
  try {
    const response = await handler({
      // With "1.1" Connect would refuse bidirectional streams.
      httpVersion: "2",
      method: request.method,
      url: request.url,
      header: request.headers,
      body: chunks(reader),
      signal: call.signal,
    });
    return new Response(bodyOf(response, call, dropRest), {
      status: response.status ?? 200,
      headers: response.header ?? {},
    });
  } catch (error) {
    dropRest();
    throw error;
  }
}

async function* chunks(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  if (!reader) return;
  for (let r = await reader.read(); !r.done; r = await reader.read()) yield r.value;
}

function bodyOf(
  { body }: UniversalServerResponse,
  call: LinkedSignal,
  ended: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  if (body === undefined) {
    ended();
    return null;
  }
  const iterator = body[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        if (!done) return controller.enqueue(value as Uint8Array<ArrayBuffer>);
        ended();
        controller.close();
      } catch (error) {
        ended();
        controller.error(error);
      }
    },
    async cancel(reason) {
      call.abort(reason);
      ended();
      // A generator that does not catch what is thrown into it throws it back.
      await iterator.throw?.(reason).catch(() => {});
    },
  });
}
