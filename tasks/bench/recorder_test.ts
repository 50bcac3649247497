import { assertEquals, assertThrows } from "@std/assert";
import { Recorder } from "./recorder.ts";
import type { RowSpec } from "./rows.ts";

const SPECS: readonly RowSpec[] = [{ name: "a", unit: "ms" }, { name: "b", unit: "MB" }];

Deno.test("Recorder gives the rows in their order, those without samples too", () => {
  const record = new Recorder();
  record.add("b", 7);
  const [a, b] = record.rows(SPECS);
  assertEquals([a?.name, a?.n, a?.p50, a?.failed, a?.note], ["a", 0, null, 0, null]);
  assertEquals([b?.name, b?.unit, b?.n, b?.p50], ["b", "MB", 1, 7]);
});

Deno.test("Recorder counts failures and tells the first one, after the notes", () => {
  const record = new Recorder();
  record.add("a", 1);
  record.fail("a", new Error("First"));
  record.fail("a", "second");
  record.note("a", "Noted");
  record.note("a", "Noted");
  const [a] = record.rows(SPECS);
  assertEquals([a?.n, a?.failed, a?.note], [1, 2, "Noted; First"]);
  assertEquals([record.runs("a"), record.values("a")], [3, [1]]);
});

Deno.test("Recorder refuses what is no number", () => {
  assertThrows(() => new Recorder().add("a", NaN), RangeError);
  assertThrows(() => new Recorder().add("a", Infinity), RangeError);
});
