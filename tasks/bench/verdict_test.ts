import { assertEquals } from "@std/assert";
import { Recorder } from "./recorder.ts";
import type { RowSpec } from "./rows.ts";
import { judge, type JudgedRow } from "./verdict.ts";

const SPECS: readonly RowSpec[] = [
  { name: "both", unit: "ms", target: { p50: 10, p95: 20 } },
  { name: "relative", unit: "ms", target: { p50Of: { row: "peer", factor: 0.85 } } },
  { name: "peer", unit: "ms" },
];

/** Judges samples by row. */
function judged(
  samples: Record<string, number[]>,
  load: number = 0.5,
  fails: readonly string[] = [],
): Record<string, JudgedRow> {
  const record = new Recorder();
  for (const [row, values] of Object.entries(samples)) {
    for (const value of values) record.add(row, value);
  }
  for (const row of fails) record.fail(row, new Error("Broke"));
  return Object.fromEntries(judge(record.rows(SPECS), SPECS, load).map((row) => [row.name, row]));
}

Deno.test("judge() wants the median and the tail at or below the target", () => {
  assertEquals(judged({ both: [10, 10, 20] }).both?.met, true);
  assertEquals(judged({ both: [10.1, 10.1, 20] }).both?.met, false);
  assertEquals(judged({ both: [10, 10, 20.1] }).both?.met, false);
});

Deno.test("judge() takes a relative target from the other row of the same run", () => {
  const slow = judged({ relative: [86], peer: [100] }).relative;
  assertEquals([slow?.target, slow?.met], [{ p50: 85 }, false]);
  const fast = judged({ relative: [85], peer: [100] }).relative;
  assertEquals([fast?.target, fast?.met], [{ p50: 85 }, true]);
  const alone = judged({ relative: [1] }).relative;
  assertEquals([alone?.target, alone?.met, alone?.why], [null, null, "No 'peer' in this run"]);
});

Deno.test("judge() never calls a figure of a busy machine met, and still sees a miss", () => {
  assertEquals(judged({ both: [1] }, 1).both?.met, true);
  const busy = judged({ both: [1], relative: [1], peer: [100] }, 1.01);
  assertEquals([busy.both?.met, busy.both?.why], [null, "Load before the start was 1.01"]);
  assertEquals(busy.relative?.met, null);
  assertEquals(judged({ both: [11] }, 5).both?.met, false);
});

Deno.test("judge() holds a failed run against the row, and judges nothing that was not measured", () => {
  const row = judged({ both: [1] }, 0, ["both"]).both;
  assertEquals([row?.met, row?.why], [false, "1 of 2 failed"]);
  assertEquals(judged({}, 0, ["both"]).both?.met, false);
  const absent = judged({}).both;
  assertEquals([absent?.met, absent?.why], [null, "Not measured"]);
  assertEquals([judged({ peer: [1] }).peer?.met, judged({ peer: [1] }).peer?.target], [null, null]);
});
