import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { isNotModified, parseRange, rangeApplies } from "./ranges.ts";

Deno.test("parseRange() reads the three forms", () => {
  assertEquals(parseRange("bytes=0-4", 10), { start: 0, end: 5 });
  assertEquals(parseRange("bytes=5-", 10), { start: 5, end: 10 });
  assertEquals(parseRange("bytes=-3", 10), { start: 7, end: 10 });
  assertEquals(parseRange("bytes=-30", 10), { start: 0, end: 10 });
  assertEquals(parseRange("bytes=8-99", 10), { start: 8, end: 10 });
});

Deno.test("parseRange() tells what cannot be satisfied from what is no range", () => {
  for (const header of ["bytes=10-", "bytes=10-11", "bytes=-0"]) {
    assertEquals(parseRange(header, 10), "unsatisfiable", header);
  }
  for (const header of [null, "", "bytes=", "bytes=-", "lines=1-2", "bytes=1-2,4-5", "bytes=5-4"]) {
    assertEquals(parseRange(header, 10), undefined, String(header));
  }
});

Deno.test("parseRange() never leaves the file", () => {
  const digits = fc.oneof(fc.constant(""), fc.nat().map(String), fc.constant("9".repeat(30)));
  fc.assert(fc.property(digits, digits, fc.integer({ min: 1, max: 1e9 }), (first, last, size) => {
    const range = parseRange(`bytes=${first}-${last}`, size);
    if (typeof range !== "object") return;
    assert(range.start >= 0 && range.start < range.end && range.end <= size);
  }));
});

Deno.test("isNotModified() and rangeApplies() compare whole seconds", () => {
  const date = "Mon, 23 Nov 2026 22:30:18 GMT";
  const ms = Date.parse(date);
  assertEquals([isNotModified(date, ms + 999), isNotModified(date, ms + 1000)], [true, false]);
  assertEquals([isNotModified(null, ms), isNotModified("soon", ms)], [false, false]);
  assertEquals([rangeApplies(date, ms + 5), rangeApplies(date, ms + 1000)], [true, false]);
  assertEquals([rangeApplies(null, ms), rangeApplies('"etag"', ms)], [true, false]);
});
