/** Connect RPC over Deno's fetch and HTTP/1.1: all four kinds of call, over TCP or a Unix socket. */
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { abortableFetch } from "./abortable_fetch.ts";

/** Options of {@linkcode denoTransport}. */
export interface DenoTransportOptions {
  /** `http://host:port`; with a Unix socket client `http://localhost`. */
  baseUrl: string;
  /** HTTP client with its own connection pool; the caller closes it. */
  client?: Deno.HttpClient;
  /** Client interceptors. */
  interceptors?: Interceptor[];
  /** JSON instead of binary messages, as E2B SDKs speak it. */
  json?: boolean;
}

/**
 * A transport that uses connect-web where the request is one message (it is faster there) and the
 * universal protocol client where the request streams.
 */
export function denoTransport(options: DenoTransportOptions): Transport {
  const { baseUrl, client, interceptors = [], json = false } = options;
  const viaClient =
    ((input: RequestInfo | URL, init?: RequestInit) =>
      abortableFetch(input, { ...init, ...(client ? { client } : {}) })) as typeof fetch;
  const simple = createConnectTransport({
    baseUrl,
    useBinaryFormat: !json,
    interceptors,
    fetch: viaClient,
  });
  const full = createTransport({
    httpClient: createFetchClient(viaClient),
    baseUrl,
    useBinaryFormat: !json,
    interceptors,
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 1024,
    readMaxBytes: 0xffffffff,
    writeMaxBytes: 0xffffffff,
  });
  return {
    unary: simple.unary.bind(simple),
    stream: (method, ...rest) =>
      (method.methodKind === "server_streaming" ? simple : full).stream(method, ...rest),
  };
}
