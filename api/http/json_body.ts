/** JSON bodies: read within bounds before the schema of the route validates them. */
import { createMiddleware } from "@hono/hono/factory";
import type { MiddlewareHandler } from "@hono/hono";
import { WrennError } from "@wrenn/common";
import { nestsDeeperThan } from "../core/json_depth.ts";
import { bodyText } from "./body.ts";
import type { AppEnv } from "./context.ts";
import type { ApiLimits } from "./limits.ts";

/** Reads the body within the limits and gives it to the route's validator. */
export function jsonBody(limits: ApiLimits): MiddlewareHandler<AppEnv> {
  return createMiddleware<AppEnv>(async (c, next) => {
    refuseEncoding(c.req.raw);
    const type = c.req.header("content-type")?.split(";")[0]?.trim().toLowerCase();
    if (type !== undefined && type !== "application/json") {
      throw new WrennError(
        "unsupported_media_type",
        "Content type is not supported: send 'application/json'",
      );
    }
    const text = await bodyText(c.req.raw, limits);
    if (text.trim() === "") {
      throw new WrennError("invalid_json", "Request body is empty: send a JSON object");
    }
    if (type === undefined) {
      throw new WrennError(
        "unsupported_media_type",
        "Content type is missing: send 'application/json'",
      );
    }
    checkJson(text, limits);
    // Hono reads its cache before the body; its types speak of the text, its code awaits a promise.
    Object.assign(c.req.bodyCache, { text: Promise.resolve(text) });
    await next();
  });
}

/** Refuses what a parser should not see: nesting without end, and the key that names an object's prototype. */
export function checkJson(text: string, limits: ApiLimits): void {
  if (nestsDeeperThan(text, limits.jsonDepth)) {
    throw new WrennError("invalid_json", `JSON nests deeper than ${limits.jsonDepth} levels`);
  }
  if (/"__proto__"\s*:/.test(text)) {
    throw new WrennError("invalid_request", "Unknown field '__proto__'");
  }
}

/** Compressed request bodies are not taken: their size is not known before they are unpacked. */
export function refuseEncoding(request: Request): void {
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw new WrennError("unsupported_media_type", "Compressed request bodies are not supported");
  }
}
