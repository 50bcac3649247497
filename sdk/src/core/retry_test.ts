import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { isUnsent, parseRetryAfter, retryDelay, type RetryInput } from "./retry.ts";

const input: RetryInput = {
  attempts: 1,
  maxRetries: 3,
  replayable: true,
  idempotent: true,
  random: 0,
};

Deno.test("retryDelay() never sends a stream twice", () => {
  for (const unsent of [true, false]) {
    const failed = { kind: "failed", unsent } as const;
    assertEquals(retryDelay(failed, { ...input, replayable: false }), undefined);
  }
});

Deno.test("retryDelay() sends a call that is not idempotent again only when nothing was done", () => {
  const once = { ...input, idempotent: false };
  assertEquals(retryDelay({ kind: "failed", unsent: true }, once), 50);
  assertEquals(retryDelay({ kind: "failed", unsent: false }, once), undefined);
  assertEquals(retryDelay({ kind: "status", status: 429 }, once), 50);
  assertEquals(retryDelay({ kind: "status", status: 503 }, once), undefined);
});

Deno.test("retryDelay() leaves other answers alone", () => {
  for (const status of [400, 401, 404, 409, 500, 502, 504, 507]) {
    assertEquals(retryDelay({ kind: "status", status }, input), undefined);
  }
});

Deno.test("retryDelay() obeys Retry-After unless it is long", () => {
  assertEquals(retryDelay({ kind: "status", status: 503, retryAfterMs: 2500 }, input), 2500);
  assertEquals(retryDelay({ kind: "status", status: 503, retryAfterMs: 60_000 }, input), undefined);
});

Deno.test("retryDelay() stays within its bounds and ends", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 50 }),
    fc.integer({ min: 0, max: 50 }),
    fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    (attempts, maxRetries, random) => {
      const delay = retryDelay(
        { kind: "status", status: 503 },
        { ...input, attempts, maxRetries, random },
      );
      if (attempts > maxRetries) assertEquals(delay, undefined);
      else assert(delay !== undefined && delay >= 50 && delay <= 5000);
    },
  ));
});

Deno.test("parseRetryAfter() reads seconds and dates", () => {
  assertEquals(parseRetryAfter(null, 0), undefined);
  assertEquals(parseRetryAfter("3", 0), 3000);
  assertEquals(parseRetryAfter("Thu, 01 Jan 1970 00:00:10 GMT", 4000), 6000);
  assertEquals(parseRetryAfter("Thu, 01 Jan 1970 00:00:01 GMT", 4000), 0);
  assertEquals(parseRetryAfter("soon", 0), undefined);
});

Deno.test("isUnsent() knows a refused connection of Deno and of Node", () => {
  const deno = new TypeError("Fetch failed", {
    cause: new Error("tcp connect error: Connection refused"),
  });
  const node = new TypeError("Fetch failed", {
    cause: Object.assign(new Error("Connect"), { code: "ECONNREFUSED" }),
  });
  assert(isUnsent(deno));
  assert(isUnsent(node));
  assert(!isUnsent(new TypeError("Connection reset by peer")));
});
