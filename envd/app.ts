/** envd as one fetch handler: CORS, the token, HTTP routes, Connect services. */
import type { ConnectRouter } from "@connectrpc/connect";
import { connectHandler } from "@wrenn/common/connect_handler";
import { WrennError } from "@wrenn/common/errors";
import { Filesystem } from "@wrenn/proto/filesystem";
import { Process } from "@wrenn/proto/process";
import { authorize, TOKEN_HEADER } from "./init/auth.ts";
import { control, CONTROL_PATHS } from "./control/control.ts";
import type { DatagramParts } from "./control/datagrams.ts";
import type { StoredAnswers } from "./control/stored_answers.ts";
import type { Users } from "./linux/users.ts";
import { getFile, postCompose, postFiles } from "./routes/files.ts";
import { Metrics } from "./routes/metrics.ts";
import { errorResponse, preflight, readText, withCors } from "./routes/respond.ts";
import { errorInterceptor } from "./rpc/errors.ts";
import { filesystemService } from "./rpc/filesystem_service.ts";
import { processService } from "./rpc/process_service.ts";
import { MAX_TIMER_MS } from "./rpc/request_context.ts";
import { ENVD_VERSION } from "./version.ts";
import type { Watchers } from "./watch/watchers.ts";

/** Largest body of a call of the host agent, in bytes. */
const MAX_CONTROL_BODY = 4 * 1024 * 1024;
/** Largest message of a call, in bytes: what is larger is streamed. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const TIMEOUT_HEADER = "connect-timeout-ms";

/** What envd is made of. */
export interface AppOptions extends DatagramParts {
  /** Users of the machine. */
  users: Users;
  /** Watches of directories. */
  watchers: Watchers;
}

const ANSWERS = "/answers/";

/** The handler for `Deno.serve`. */
export function createApp(options: AppOptions): (request: Request) => Promise<Response> {
  const { state } = options;
  const metrics = new Metrics();
  const rpc = connectHandler((router) => addServices(router, options), {
    interceptors: [errorInterceptor],
    readMaxBytes: MAX_MESSAGE_BYTES,
  });

  const route = async (request: Request, url: URL): Promise<Response> => {
    if (request.method === "POST" && CONTROL_PATHS.has(url.pathname)) {
      return await answerControl(request, url, options);
    }
    switch (`${request.method} ${url.pathname}`) {
      case "GET /health":
        return new Response(null, { status: 204, headers: { "Cache-Control": "no-store" } });
      case "GET /metrics":
        return Response.json(await metrics.read(Date.now()));
      case "GET /envs":
        return Response.json(state.envVars);
      case "GET /files":
        return await getFile(request, url, state);
      case "POST /files":
        return await postFiles(request, url, state);
      case "POST /files/compose":
        return await postCompose(request, state);
      default: {
        const stored = answerAt(request, url, options.answers);
        if (stored) return binary(stored);
        return await rpc(withoutEndlessTimeout(request)) ?? notFound(url);
      }
    }
  };

  return async (request) => {
    try {
      const url = new URL(request.url);
      if (request.method === "OPTIONS") return withCors(preflight(request));
      await authorize(request, url, state, Date.now() / 1000);
      const response = await route(request, url);
      // The host agent alone asks these: no browser does.
      return CONTROL_PATHS.has(url.pathname) ? response : withCors(response);
    } catch (error) {
      return withCors(errorResponse(error));
    }
  };
}

async function answerControl(
  request: Request,
  { pathname }: URL,
  options: AppOptions,
): Promise<Response> {
  const answer = await control(options, {
    path: pathname,
    text: await readText(request, MAX_CONTROL_BODY),
    token: request.headers.get(TOKEN_HEADER),
    wanted: () => !request.signal.aborted,
  });
  if (answer instanceof Uint8Array) return binary(answer);
  if (answer !== undefined) return Response.json(answer);
  return new Response(null, {
    status: 204,
    headers: { "Cache-Control": "no-store", "X-Envd-Version": ENVD_VERSION },
  });
}

function answerAt(
  request: Request,
  { pathname }: URL,
  answers: StoredAnswers,
): Uint8Array<ArrayBuffer> | undefined {
  if (request.method !== "GET" || !pathname.startsWith(ANSWERS)) return undefined;
  return answers.take(pathname.slice(ANSWERS.length));
}

function binary(bytes: Uint8Array<ArrayBuffer>): Response {
  return new Response(bytes, { headers: { "content-type": "application/octet-stream" } });
}

function addServices(router: ConnectRouter, options: AppOptions): void {
  router.service(Process, processService(options));
  router.service(Filesystem, filesystemService(options));
}

/** A timeout of 0 or beyond what a timer can hold means none; Connect would take it as over at once. */
function withoutEndlessTimeout(request: Request): Request {
  const text = request.headers.get(TIMEOUT_HEADER);
  if (text === null || (Number(text) > 0 && Number(text) <= MAX_TIMER_MS)) return request;
  if (!/^\d+$/.test(text)) return request;
  const headers = new Headers(request.headers);
  headers.delete(TIMEOUT_HEADER);
  return new Request(request, { headers });
}

const PATHS: ReadonlySet<string> = new Set([
  "/health",
  "/metrics",
  "/envs",
  ...CONTROL_PATHS,
  "/files",
  "/files/compose",
]);

function notFound(url: URL): Response {
  return errorResponse(
    PATHS.has(url.pathname)
      ? new WrennError("method_not_allowed", "Method is not allowed")
      : new WrennError("not_found", "There is no such route"),
  );
}
