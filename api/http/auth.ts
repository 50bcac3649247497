/** Authentication by API key, for HTTP and WebSocket alike. */
import { createMiddleware } from "@hono/hono/factory";
import type { MiddlewareHandler } from "@hono/hono";
import { WrennError } from "@wrenn/common";
import type { KeyService } from "../services/types.ts";
import type { AppEnv } from "./context.ts";

const MAX_KEY = 256;

/**
 * Requires `X-API-Key` or `Authorization: Bearer`. Keys come in headers alone, never in URLs or cookies: a page
 * of another origin cannot make a browser send one, so WebSockets need no check of `Origin`.
 */
export function requireKey(keys: KeyService): MiddlewareHandler<AppEnv> {
  return createMiddleware<AppEnv>(async (c, next) => {
    const key = c.req.header("x-api-key") ?? bearer(c.req.header("authorization"));
    if (key === undefined || key === "") {
      throw new WrennError("unauthorized", "Missing API key: send the header 'X-API-Key'");
    }
    const who = key.length > MAX_KEY ? undefined : await keys.authenticate(key);
    if (!who) throw new WrennError("unauthorized", "Invalid API key");
    c.set("who", who);
    await next();
  });
}

function bearer(header: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(header ?? "")?.[1];
}
