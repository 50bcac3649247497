/** Around every request: its id, bounds on its head, and one canonical log event when it is over. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { type Logger, WrennError } from "@wrenn/common";
import type { AppEnv } from "./context.ts";
import { errorResponse, toWrennError } from "./errors.ts";
import type { ApiLimits } from "./limits.ts";
import { isUpgraded } from "./raw_socket.ts";
import type { RequestInfo } from "./server.ts";

type Fetch = (request: Request, info?: RequestInfo) => Promise<Response>;

/** The app's fetch with id, bounds and log. */
export function observe(app: OpenAPIHono<AppEnv>, limits: ApiLimits, log: Logger): Fetch {
  // Runs before every route: keeps what the log wants of the context.
  const seen = new WeakMap<object, Seen>();
  app.use(async (c, next) => {
    await next();
    seen.set(c.env, { team: c.get("who")?.teamId, session: c.get("session") });
  });
  return async (request, info) => {
    const started = performance.now();
    const env = { requestId: requestId(request), upgrade: info?.upgrade };
    const head = {
      request_id: env.requestId,
      method: request.method,
      path: pathOf(request.url).slice(0, 200),
      remote: info?.remote,
    };
    const fault = headFault(request, limits);
    let response: Response;
    try {
      response = fault ? errorResponse(fault) : await app.fetch(request, env);
    } catch (error) {
      log.error("Request failed", { request_id: env.requestId, error });
      response = errorResponse(toWrennError(error));
    }
    response.headers.set("x-request-id", env.requestId);
    response.headers.set("x-content-type-options", "nosniff");
    const over = seen.get(env)?.session ?? info?.completed?.then(() => "ok", () => "aborted");
    void (over ?? Promise.resolve("ok")).then((outcome) => {
      log.info("Request", {
        ...head,
        status: isUpgraded(response) ? 101 : response.status,
        outcome,
        duration_ms: Math.round(performance.now() - started),
        team_id: seen.get(env)?.team,
      });
    });
    return response;
  };
}

interface Seen {
  readonly team: string | undefined;
  readonly session: Promise<string> | undefined;
}

/** The caller's id when it is harmless, else a new one. */
function requestId(request: Request): string {
  const given = request.headers.get("x-request-id");
  return given !== null && /^[\w.-]{1,64}$/.test(given) ? given : crypto.randomUUID();
}

function headFault(request: Request, limits: ApiLimits): WrennError | undefined {
  if (request.url.length > limits.urlBytes) {
    return new WrennError("headers_too_large", `URL is longer than ${limits.urlBytes} bytes`);
  }
  let size = 0;
  for (const [name, value] of request.headers) size += name.length + value.length + 4;
  return size > limits.headerBytes
    ? new WrennError("headers_too_large", `Headers are larger than ${limits.headerBytes} bytes`)
    : undefined;
}

/** Path without query: queries may hold names of files, which stay out of the log. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("//") + 2);
  return start < 0 ? "/" : url.slice(start).split(/[?#]/, 1)[0] ?? "/";
}
