import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { nestsDeeperThan } from "./json_depth.ts";

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

Deno.test("nestsDeeperThan() agrees with the parsed value", () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 8 }), (v, max) => {
    assertEquals(nestsDeeperThan(JSON.stringify(v), max), depthOf(v) > max);
  }));
});

Deno.test("nestsDeeperThan() does not count brackets inside strings", () => {
  assertEquals(nestsDeeperThan(String.raw`{"a":"[[[\"[[["}`, 1), false);
});
