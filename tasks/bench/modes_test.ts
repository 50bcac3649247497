import { assertEquals } from "@std/assert";
import type { Launched } from "./launch.ts";
import { overlapping, sequential } from "./modes.ts";

const done = (startMs: number, value: number): Launched<number> => ({
  startMs,
  endMs: startMs + value + 1000, // its destroy
  outcome: { status: "fulfilled", value },
});
const failed = (message: string): Launched<number> => ({
  startMs: 0,
  endMs: 1,
  outcome: { status: "rejected", reason: new Error(message) },
});

Deno.test("overlapping() counts from the first request to the outputs, not to the destroys", () => {
  const found = overlapping("staggered", 20, [done(0, 50), done(200, 30), done(400, 90)]);
  assertEquals([found.wall_ms, found.first_ms], [490, 50]);
  assertEquals([found.n, found.pool, found.p50, found.success_rate], [3, 20, 50, 1]);
});

Deno.test("overlapping() trims the percentiles and not the extremes, as ComputeSDK does", () => {
  const found = overlapping("burst", 0, Array.from({ length: 100 }, (_, i) => done(0, i + 1)));
  assertEquals([found.min, found.max], [1, 100]);
  assertEquals([found.p50, found.p95, found.p99], [50, 91, 95]);
});

Deno.test("overlapping() lets failures lower the rate and tells the first", () => {
  const found = overlapping("burst", 0, [done(0, 5), failed("One"), failed("Two"), done(0, 7)]);
  assertEquals([found.n, found.success_rate, found.note, found.max], [4, 0.5, "One", 7]);
  const none = overlapping("burst", 0, [failed("All")]);
  assertEquals([none.p50, none.wall_ms, none.success_rate], [null, null, 0]);
});

Deno.test("sequential() has no wall", () => {
  const found = sequential(4, [1, 2, 3], 4);
  assertEquals([found.mode, found.n, found.p50, found.wall_ms], ["sequential", 4, 2, null]);
  assertEquals(found.success_rate, 0.75);
});
