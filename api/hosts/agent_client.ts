/** Client of a host agent: Connect over HTTP/1.1, on TCP or a Unix socket, with the shared secret. */
import { createClient, type Interceptor } from "@connectrpc/connect";
import { denoTransport, type ListenAddress } from "@wrenn/common";
import { AgentService } from "@wrenn/proto/agent";
import type { AgentClient } from "../services/types.ts";

/** A client and the connections under it. */
export interface AgentEndpoint {
  /** Address as a text, for the log and the hosts table. */
  readonly address: string;
  readonly client: AgentClient;
  /** Closes its connections. */
  close(): void;
}

/** Opens a client; connections are made when they are needed. */
export function agentEndpoint(address: ListenAddress, secret: string): AgentEndpoint {
  const http = Deno.createHttpClient({
    http2: false,
    poolMaxIdlePerHost: 64,
    ...(address.transport === "unix"
      ? { proxy: { transport: "unix" as const, path: address.path } }
      : {}),
  });
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${secret}`);
    return next(request);
  };
  const transport = denoTransport({
    baseUrl: baseUrl(address),
    client: http,
    interceptors: [authorize],
  });
  return {
    address: addressText(address),
    client: createClient(AgentService, transport),
    close: () => http.close(),
  };
}

/** `host:port` or `unix:/path`. */
export function addressText(address: ListenAddress): string {
  if (address.transport === "unix") return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${host}:${address.port}`;
}

function baseUrl(address: ListenAddress): string {
  return address.transport === "unix" ? "http://localhost" : `http://${addressText(address)}`;
}
