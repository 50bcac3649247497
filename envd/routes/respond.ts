/** Answers of envd's HTTP routes: E2B's error shape, Wrenn's code in a header, CORS on everything. */
import { WrennError } from "@wrenn/common/errors";
import { logger } from "@wrenn/common/log";
import { fileError } from "../files/file_error.ts";

/** Header with the stable code of an error. */
const CODE_HEADER = "wrenn-code";
const EXPOSED = [
  "Connect-Protocol-Version",
  "Content-Disposition",
  "Content-Encoding",
  "Content-Length",
  "Content-Range",
  "Cache-Control",
  "Grpc-Message",
  "Grpc-Status",
  "Grpc-Status-Details-Bin",
  "Location",
  "X-Content-Type-Options",
  CODE_HEADER,
].join(", ");
const METHODS = "HEAD, GET, POST, PUT, PATCH, DELETE, OPTIONS";

/** `{"code": status, "message": ...}` for anything thrown. An unknown user of a file call is 401 on this wire. */
export function errorResponse(error: unknown): Response {
  const known = fileError(error);
  const status = known.code === "invalid_user" ? 401 : known.status;
  if (status >= 500 && known.code !== "no_space") {
    logger("envd", "http").error("Request failed", { error: known });
  }
  return Response.json({ code: status, message: known.message }, {
    status,
    headers: { [CODE_HEADER]: known.code },
  });
}

/** Answer to a CORS preflight. */
export function preflight(request: Request): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "Access-Control-Allow-Methods": METHODS,
      "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers") ?? "*",
      "Access-Control-Max-Age": "7200",
    },
  });
}

/** Adds the CORS headers. */
export function withCors(response: Response): Response {
  response.headers.set("Access-Control-Allow-Origin", "*");
  response.headers.set("Access-Control-Expose-Headers", EXPOSED);
  return response;
}

/**
 * The text of a small body.
 *
 * @param limit Bytes that are accepted. @throws {WrennError} `payload_too_large`.
 */
export async function readText(request: Request, limit: number): Promise<string> {
  const told = request.headers.get("content-length");
  // One operation instead of a stream of pieces.
  if (told !== null && Number(told) <= limit) return await request.text();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const piece of request.body ?? []) {
    size += piece.length;
    if (size > limit) {
      throw new WrennError("payload_too_large", `Body is larger than ${limit} bytes`);
    }
    pieces.push(piece);
  }
  return await new Blob(pieces).text();
}
