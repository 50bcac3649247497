import { assertEquals } from "@std/assert";
import { mustSetClock } from "./clock_policy.ts";

Deno.test("mustSetClock() moves a late clock early and an early clock late", () => {
  const ms = (value: number): bigint => BigInt(value) * 1_000_000n;
  const own = ms(1_000_000);
  assertEquals(mustSetClock(own, own + ms(50)), false);
  assertEquals(mustSetClock(own, own + ms(51)), true);
  assertEquals(mustSetClock(own, own - ms(5000)), false);
  assertEquals(mustSetClock(own, own - ms(5001)), true);
});
