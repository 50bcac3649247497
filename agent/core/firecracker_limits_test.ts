import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { rateLimiter, replacedRateLimiter } from "./firecracker_limits.ts";

const rate = fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined });

Deno.test("rateLimiter() fills a bucket of a second's tokens in a second", () => {
  assertEquals(rateLimiter({ bytesPerSecond: 1 << 20, opsPerSecond: 500 }), {
    bandwidth: { size: 1 << 20, refill_time: 1000 },
    ops: { size: 500, refill_time: 1000 },
  });
  assertEquals(rateLimiter({ opsPerSecond: 500 }), { ops: { size: 500, refill_time: 1000 } });
  assertEquals(rateLimiter({}), undefined);
  assertEquals(rateLimiter(), undefined);
});

Deno.test("replacedRateLimiter() takes away what is not limited any more", () => {
  const none = { size: 0, refill_time: 0 };
  assertEquals(replacedRateLimiter(), { bandwidth: none, ops: none });
  assertEquals(replacedRateLimiter({ bytesPerSecond: 7 }), {
    bandwidth: { size: 7, refill_time: 1000 },
    ops: none,
  });
});

Deno.test("replacedRateLimiter() has the limits of rateLimiter(), whatever they are", () => {
  fc.assert(fc.property(rate, rate, (bytes, ops) => {
    const limit = {
      ...(bytes === undefined ? {} : { bytesPerSecond: bytes }),
      ...(ops === undefined ? {} : { opsPerSecond: ops }),
    };
    const [first, later] = [rateLimiter(limit), replacedRateLimiter(limit)];
    for (const bucket of ["bandwidth", "ops"] as const) {
      assertEquals(later[bucket], first?.[bucket] ?? { size: 0, refill_time: 0 });
    }
  }));
});

Deno.test("rateLimiter() refuses rates that are none", () => {
  for (const bad of [0, -1, 1.5, NaN, Infinity, 2 ** 60]) {
    assertThrows(() => rateLimiter({ bytesPerSecond: bad }), RangeError, "Not a rate");
    assertThrows(() => replacedRateLimiter({ opsPerSecond: bad }), RangeError, "Not a rate");
  }
});
