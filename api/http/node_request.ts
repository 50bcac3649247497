/** Requests of `node:http` as web requests. */
import type { IncomingMessage } from "node:http";
import { WrennError } from "@wrenn/common";

/**
 * The web request, or what is wrong with it. The host name in its URL means nothing: routes see the path.
 *
 * @param gone Aborted when the client leaves before it is answered.
 */
export function toRequest(
  req: IncomingMessage,
  gone: AbortSignal,
  options: { readonly body: boolean } = { body: true },
): Request | WrennError {
  const { method = "GET", url = "/" } = req;
  if (!url.startsWith("/") || url.startsWith("//")) {
    return new WrennError("not_found", "No such route: the request target is no path");
  }
  if (["CONNECT", "TRACE", "TRACK"].includes(method)) {
    return new WrennError("method_not_allowed", `Method '${method}' is not allowed`);
  }
  const withBody = options.body && method !== "GET" && method !== "HEAD";
  try {
    return new Request(`http://localhost${url}`, {
      method,
      headers: headersOf(req),
      signal: gone,
      ...(withBody ? { body: bodyOf(req) } : {}),
    });
  } catch (cause) {
    return new WrennError("invalid_request", "Malformed HTTP request", { cause });
  }
}

function headersOf(req: IncomingMessage): Headers {
  const headers = new Headers();
  const raw = req.rawHeaders;
  for (let i = 0; i + 1 < raw.length; i += 2) headers.append(raw[i] ?? "", raw[i + 1] ?? "");
  return headers;
}

/**
 * Pieces are taken when they are asked for; what has come by then is one piece, however many chunks the sender made
 * of it. What nobody asks for stays with the sender.
 */
function bodyOf(req: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  let over = false;
  let wanted = false;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      req.on("readable", () => {
        if (wanted) take(controller);
      });
      const end = (error?: Error): void => {
        if (over) return;
        over = true;
        if (error) controller.error(error);
        else controller.close();
      };
      req.once("end", () => end());
      req.on("error", (error: Error) => end(error));
      req.once("close", () => end(new Error("Connection closed inside a request body")));
    },
    pull(controller) {
      take(controller);
    },
    cancel() {
      over = true;
    },
  }, { highWaterMark: 0 });

  function take(controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>): void {
    const piece: Uint8Array<ArrayBuffer> | null = req.read();
    wanted = piece === null;
    if (piece !== null && !over) controller.enqueue(piece);
  }
}
