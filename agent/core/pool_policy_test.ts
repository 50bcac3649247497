import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { arrived, decayed, NO_ARRIVALS, poolTarget, type PoolView } from "./pool_policy.ts";

const VIEW: PoolView = {
  min: 2,
  max: 20,
  arrivalsPerSec: 0,
  refillSec: 2,
  ready: 0,
  availableMb: 10_000,
  reserveMb: 1000,
  entryMb: 110,
};

Deno.test("the target follows demand between minimum and maximum", () => {
  assertEquals(poolTarget(VIEW), 2);
  assertEquals(poolTarget({ ...VIEW, arrivalsPerSec: 1.5 }), 6);
  assertEquals(poolTarget({ ...VIEW, arrivalsPerSec: 100 }), 20);
  assertEquals(poolTarget({ ...VIEW, min: 0 }), 0);
});

Deno.test("memory comes first: a host that is short makes none and drops what it has", () => {
  const short = { ...VIEW, min: 10, availableMb: 1000 };
  assertEquals(poolTarget(short), 0);
  assertEquals(poolTarget({ ...short, ready: 5 }), 5);
  assertEquals(poolTarget({ ...short, ready: 5, availableMb: 670 }), 2);
  assertEquals(poolTarget({ ...short, ready: 5, availableMb: 0 }), 0);
});

Deno.test("the target is never outside its bounds and falls with memory", () => {
  const view = fc.record({
    min: fc.nat(10),
    max: fc.nat(50),
    arrivalsPerSec: fc.double({ min: 0, max: 1000, noNaN: true }),
    refillSec: fc.double({ min: 0, max: 60, noNaN: true }),
    ready: fc.nat(50),
    availableMb: fc.nat(100_000),
    reserveMb: fc.nat(4000),
    entryMb: fc.integer({ min: 1, max: 1000 }),
  });
  fc.assert(fc.property(view, fc.nat(50_000), (v, less) => {
    const target = poolTarget(v);
    assert(Number.isInteger(target) && target >= 0 && target <= v.max, String(target));
    assert(poolTarget({ ...v, availableMb: v.availableMb - less }) <= target);
    if (target > v.ready) assert((target - v.ready) * v.entryMb <= v.availableMb - v.reserveMb);
  }));
});

Deno.test("the rate of a steady stream is what arrives, and silence forgets it", () => {
  let rate = NO_ARRIVALS;
  for (let ms = 0; ms < 600_000; ms += 500) rate = arrived(rate, ms);
  assert(Math.abs(rate.perSec - 2) < 0.05, String(rate.perSec));
  assert(Math.abs(decayed(rate, rate.atMs + 30_000).perSec - rate.perSec / 2) < 1e-9);
  assert(decayed(rate, rate.atMs + 600_000).perSec < 0.01);
  assertEquals(decayed(rate, rate.atMs - 5).perSec, rate.perSec);
});
