/** The shared secret that every caller shows as `authorization: Bearer <secret>`. */
import { timingSafeEqual } from "node:crypto";
import type { Interceptor } from "@connectrpc/connect";
import { WrennError } from "@wrenn/common";

const PREFIX = "Bearer ";

/** Refuses calls without the secret as `unauthorized`. The time it takes tells nothing of the secret. */
export function requireSecret(secret: string): Interceptor {
  const check = secretCheck(secret);
  return (next) => async (request) => {
    await check(request.header);
    return await next(request);
  };
}

/** The same for any request's headers. @throws {WrennError} `unauthorized` */
export function secretCheck(secret: string): (headers: Headers) => Promise<void> {
  const wanted = digest(secret);
  return async (headers) => {
    const header = headers.get("authorization") ?? "";
    const given = header.startsWith(PREFIX) ? header.slice(PREFIX.length) : "";
    if (!timingSafeEqual(await digest(given), await wanted)) {
      throw new WrennError("unauthorized", "Secret of the host agent is missing or wrong");
    }
  };
}

/** Digests have one length, whatever was given. */
async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
