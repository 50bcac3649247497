/** The agent's service on a TCP port or a Unix socket. */
import { AgentService } from "@wrenn/proto/agent";
import { connectHandler, delay, type ListenAddress, logger, WrennError } from "@wrenn/common";
import type { SandboxManager } from "../sandbox/manager.ts";
import { METRICS_TYPE, metricsText } from "../metrics.ts";
import { requireSecret, secretCheck } from "./auth.ts";
import { execCalls } from "./exec.ts";
import { fileCalls } from "./files.ts";
import { hostCalls, type HostDescription } from "./host.ts";
import { lifecycleCalls } from "./lifecycle.ts";
import { operation } from "./operation.ts";
import { snapshotCalls } from "./snapshots.ts";

/** What the server needs. */
export interface ServerOptions {
  readonly listen: ListenAddress;
  readonly secret: string;
  readonly manager: SandboxManager;
  readonly host: HostDescription;
}

/** A listening server. */
export interface AgentServer {
  /** Where it listens: `http://host:port` or `unix:/path`. */
  readonly address: string;
  /**
   * Takes no more requests and waits for those under way, but not longer than `graceMs`: a caller may hold one
   * open for ever. What goes on then ends with the process.
   */
  stop(graceMs: number): Promise<void>;
}

/** Largest message a caller may send, bytes: the largest command with room to spare. */
const READ_MAX_BYTES = 4 * 1024 * 1024;

/** The service, `GET /health` and, with the secret, `GET /metrics` as one handler. */
export function agentHandler(
  { secret, manager, host }: Omit<ServerOptions, "listen">,
): (request: Request) => Response | Promise<Response> {
  const rpc = connectHandler((router) =>
    router.service(AgentService, {
      ...lifecycleCalls(manager),
      ...snapshotCalls(manager),
      ...execCalls(manager),
      ...fileCalls(manager),
      ...hostCalls(manager, host),
    }), { interceptors: [operation, requireSecret(secret)], readMaxBytes: READ_MAX_BYTES });
  const check = secretCheck(secret);
  const metrics = async (request: Request): Promise<Response> => {
    try {
      await check(request.headers);
    } catch (error) {
      const { code, message } = WrennError.from(error);
      return Response.json({ error: { code, message } }, { status: 401 });
    }
    const { pools, spares } = await manager.usage();
    return new Response(await metricsText(pools, spares), {
      headers: { "content-type": METRICS_TYPE },
    });
  };
  return (request) => {
    const answer = rpc(request);
    if (answer !== undefined) return answer;
    const { pathname } = new URL(request.url);
    if (pathname === "/health" && request.method === "GET") return new Response("ok\n");
    if (pathname === "/metrics" && request.method === "GET") return metrics(request);
    return Response.json(
      { error: { code: "not_found", message: "There is nothing at this path" } },
      { status: 404 },
    );
  };
}

/** Starts to serve. A Unix socket is open to its owner alone; a stale one is replaced. */
export async function startServer(options: ServerOptions): Promise<AgentServer> {
  const { listen } = options;
  const shared = {
    onError: (error: unknown): Response => {
      logger("agent", "rpc").error("Request failed", { error });
      return new Response("Internal error\n", { status: 500 });
    },
    onListen: (): void => {},
  };
  const handler = agentHandler(options);
  let server: Deno.HttpServer;
  let address: string;
  if (listen.transport === "unix") {
    await removeStaleSocket(listen.path);
    // Closed before it exists: between bind and chmod nobody else may connect.
    const umask = Deno.umask(0o177);
    try {
      server = Deno.serve({ ...shared, path: listen.path }, handler);
    } finally {
      Deno.umask(umask);
    }
    await Deno.chmod(listen.path, 0o600);
    address = `unix:${listen.path}`;
  } else {
    const { hostname, port } = listen;
    const tcp = Deno.serve({ ...shared, hostname, port }, handler);
    address = `http://${tcp.addr.hostname}:${tcp.addr.port}`;
    server = tcp;
  }
  logger("agent", "rpc").info("Listening", { address });
  return {
    address,
    stop: async (graceMs) => {
      // An abort of the server's signal after `shutdown()` throws `BadResource` where nobody can catch it.
      const over = new AbortController();
      const late = delay(graceMs, over.signal).then(() => true, () => false);
      const ended = server.shutdown().then(() => false);
      if (await Promise.race([ended, late])) {
        logger("agent", "rpc").warn("Calls go on after their time to end", { graceMs });
      }
      over.abort();
    },
  };
}

/** Removes a socket that nobody listens on. */
async function removeStaleSocket(path: string): Promise<void> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof Deno.errors.ConnectionRefused) return await Deno.remove(path);
    throw error;
  }
  throw new Deno.errors.AddrInUse(`Another server listens on '${path}'`);
}
