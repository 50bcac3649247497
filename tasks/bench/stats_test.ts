import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { mean, percentile, spread, trimmed } from "./stats.ts";

const times = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 });
const percents = fc.double({ min: 0.001, max: 100, noNaN: true });

Deno.test("percentile() is the nearest rank", () => {
  const samples = [15, 20, 35, 40, 50];
  assertEquals([5, 30, 40, 50, 100].map((p) => percentile(samples, p)), [15, 20, 20, 35, 50]);
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  assertEquals([50, 95, 99].map((p) => percentile(hundred, p)), [50, 95, 99]);
  assertEquals(percentile([7], 99), 7);
});

Deno.test("percentile() is a sample that enough samples do not exceed, and no smaller one is", () => {
  fc.assert(fc.property(times, percents, (samples, percent) => {
    const found = percentile(samples, percent);
    const share = (limit: number): number => samples.filter((s) => s <= limit).length;
    const needed = (percent / 100) * samples.length;
    assert(samples.includes(found));
    assert(share(found) >= needed - 1e-9);
    const smaller = samples.filter((s) => s < found);
    if (smaller.length > 0) assert(share(Math.max(...smaller)) < needed + 1e-9);
  }));
});

Deno.test("percentile() grows with the percent and does not depend on the order", () => {
  fc.assert(fc.property(times, percents, percents, (samples, p, q) => {
    assert(percentile(samples, Math.min(p, q)) <= percentile(samples, Math.max(p, q)));
    assertEquals(percentile(samples.toReversed(), p), percentile(samples, p));
  }));
});

Deno.test("percentile() refuses nothing and percents that do not exist", () => {
  assertThrows(() => percentile([], 50), RangeError);
  for (const percent of [0, -1, 101, NaN]) assertThrows(() => percentile([1], percent), RangeError);
});

Deno.test("trimmed() cuts five of a hundred from each end, and nothing below twenty", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  assertEquals(trimmed(hundred), Array.from({ length: 90 }, (_, i) => i + 6));
  const few = [3, 1, 2];
  assertEquals(trimmed(few), [1, 2, 3]);
  assertEquals(trimmed(Array.from({ length: 19 }, (_, i) => i)).length, 19);
  assertEquals(trimmed(Array.from({ length: 20 }, (_, i) => i)).length, 18);
});

Deno.test("trimmed() keeps a stretch of the sorted samples around their middle", () => {
  fc.assert(fc.property(times, (samples) => {
    const inner = trimmed(samples);
    const sorted = samples.toSorted((a, b) => a - b);
    const cut = (samples.length - inner.length) / 2;
    assert(Number.isInteger(cut) && cut <= 0.05 * samples.length);
    assertEquals(inner, sorted.slice(cut, sorted.length - cut));
  }));
});

Deno.test("spread() rounds, counts, and has a trimmed mean where something was cut", () => {
  assertEquals(spread([1.006, 2, 3.14159]), {
    n: 3,
    p50: 2,
    p95: 3.14,
    p99: 3.14,
    min: 1.01,
    max: 3.14,
    trimmed_mean: null,
  });
  const outlier = [...Array.from({ length: 19 }, () => 10), 1000];
  assertEquals(spread(outlier).trimmed_mean, 10);
  assertEquals(spread(outlier).max, 1000);
});

Deno.test("spread() of nothing is absent, never zero", () => {
  const { n, ...figures } = spread([]);
  assertEquals(n, 0);
  for (const value of Object.values(figures)) assertEquals(value, null);
});

Deno.test("mean() refuses nothing", () => {
  assertEquals(mean([1, 2, 6]), 3);
  assertThrows(() => mean([]), RangeError);
});
