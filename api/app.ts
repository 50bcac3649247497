/** The control plane's HTTP side: routes, authentication, errors, limits and the canonical log. */
import { OpenAPIHono } from "@hono/zod-openapi";
import { type Logger, WrennError } from "@wrenn/common";
import { requireKey } from "./http/auth.ts";
import type { AppEnv, RouteDeps } from "./http/context.ts";
import { errorResponse, toWrennError } from "./http/errors.ts";
import { type ApiLimits, DEFAULT_LIMITS } from "./http/limits.ts";
import { allowedMethods } from "./http/methods.ts";
import { observe } from "./http/observe.ts";
import type { RequestInfo } from "./http/server.ts";
import { SocketRegistry } from "./http/socket.ts";
import { execRoutes } from "./routes/exec.ts";
import { execStreamRoutes } from "./routes/exec_stream.ts";
import { fileRoutes } from "./routes/files.ts";
import { transferRoutes } from "./routes/files_transfer.ts";
import { watchRoutes } from "./routes/files_watch.ts";
import { metaRoutes, openApiDocument, registerShared } from "./routes/meta.ts";
import { sandboxChangeRoutes } from "./routes/sandbox_changes.ts";
import { sandboxRoutes } from "./routes/sandboxes.ts";
import { snapshotRoutes } from "./routes/snapshots.ts";
import { ExecService } from "./services/exec.ts";
import { FileService } from "./services/files.ts";
import type {
  KeyService,
  ReadinessService,
  SandboxService,
  SnapshotService,
} from "./services/types.ts";

export { type ApiLimits, DEFAULT_LIMITS } from "./http/limits.ts";

/** What the app needs. */
export interface AppDeps {
  readonly sandboxes: SandboxService;
  readonly snapshots: SnapshotService;
  readonly keys: KeyService;
  readonly readiness: ReadinessService;
  readonly log: Logger;
  /** Bounds that differ from {@linkcode DEFAULT_LIMITS}. */
  readonly limits?: Partial<ApiLimits>;
  /** Shown in the OpenAPI document. */
  readonly version?: string;
}

/** The handler for `Deno.serve` and what belongs to it. */
export interface App {
  /** Answers a request; never rejects. `info` comes from `listen()`; without it there are no WebSockets. */
  fetch(request: Request, info?: RequestInfo): Promise<Response>;
  /** Closes open WebSockets with 1001: call before the server is drained. */
  close(): void;
  /** The OpenAPI 3.1 document. */
  openapi(): Readonly<Record<string, unknown>>;
  /** Method and path pattern of every route. */
  readonly routes: readonly { readonly method: string; readonly path: string }[];
}

/** Builds the app. */
export function createApp(deps: AppDeps): App {
  const { sandboxes, snapshots, keys, readiness, log, version = "0.1.0" } = deps;
  const limits: ApiLimits = { ...DEFAULT_LIMITS, ...deps.limits };
  const sockets = new SocketRegistry();
  const routeDeps: RouteDeps = {
    sandboxes,
    snapshots,
    exec: new ExecService(sandboxes),
    files: new FileService(sandboxes),
    readiness,
    limits,
    sockets,
    log,
  };

  const app = new OpenAPIHono<AppEnv>();
  const fetch = observe(app, limits, log);
  app.use("/v1/*", requireKey(keys));
  registerShared(app);
  for (
    const part of [
      sandboxRoutes,
      sandboxChangeRoutes,
      snapshotRoutes,
      execRoutes,
      execStreamRoutes,
      fileRoutes,
      transferRoutes,
      watchRoutes,
    ]
  ) app.route("/", part(routeDeps));
  app.route("/", metaRoutes(routeDeps, app, version));

  const routes = app.routes.filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => ({ method, path }));
  app.notFound((c) => {
    const allow = allowedMethods(routes, c.req.path);
    if (allow.length === 0) {
      return errorResponse(new WrennError("not_found", "No such route: see '/docs'"));
    }
    const response = errorResponse(
      new WrennError("method_not_allowed", `Method not allowed: use ${allow.join(", ")}`),
    );
    response.headers.set("allow", allow.join(", "));
    return response;
  });
  app.onError((thrown, c) => {
    const error = toWrennError(thrown);
    if (error.code === "internal") {
      log.error("Request failed", {
        request_id: c.env.requestId,
        method: c.req.method,
        route: c.req.path,
        error: error.cause ?? error,
      });
    }
    return errorResponse(error);
  });

  return {
    fetch,
    close: () => sockets.close(),
    openapi: () => ({ ...openApiDocument(app, version) }),
    routes,
  };
}
