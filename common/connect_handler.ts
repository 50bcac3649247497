/** Connect RPC services as one fetch handler for `Deno.serve`. */
import {
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
} from "@connectrpc/connect";
import { createFetchHandler } from "@connectrpc/connect/protocol";

/** Answers a request that belongs to a service, or returns undefined. */
export type RpcHandler = (request: Request) => Promise<Response> | undefined;

/**
 * Builds the handler. Requests are told apart by path, so it can stand beside other routes.
 *
 * `httpVersion: "2"` lets bidirectional streams run over HTTP/1.1, which Deno carries full-duplex.
 */
export function connectHandler(
  routes: (router: ConnectRouter) => void,
  options: ConnectRouterOptions = {},
): RpcHandler {
  const router = createConnectRouter({ grpc: false, grpcWeb: false, ...options });
  routes(router);
  const byPath = new Map(
    router.handlers.map((h) => [h.requestPath, createFetchHandler(h, { httpVersion: "2" })]),
  );
  return (request) => byPath.get(new URL(request.url).pathname)?.(request);
}
