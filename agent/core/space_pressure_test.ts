import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { holdBelowMb, holdsBack, nextLookMs } from "./space_pressure.ts";

Deno.test("holdsBack() begins at half of the reserve and ends when it is whole", () => {
  const free = [300, 256, 200, 128, 127, 128, 200, 255, 256, 200];
  let held = false;
  const seen = free.map((mb) => held = holdsBack(held, mb, 256));
  assertEquals(seen, [false, false, false, false, true, true, true, true, false, false]);
});

Deno.test("nextLookMs() is soon enough for the fastest writer, and never a busy loop", () => {
  fc.assert(fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 10_000 }), (free, reserve) => {
    const ms = nextLookMs(free, reserve);
    assert(ms >= 50 && ms <= 2000);
    if (free < holdBelowMb(reserve)) assertEquals(ms, 50);
    const written = ms > 50 ? ms / 1000 * 2048 : 0;
    assert(free - written >= Math.min(free, holdBelowMb(reserve)) - 1e-6);
  }));
});
