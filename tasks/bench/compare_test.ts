import { assertEquals } from "@std/assert";
import { compareRows, order, type Round } from "./compare.ts";
import { Recorder } from "./recorder.ts";

const SPECS = [{ name: "wake", unit: "ms" as const }];
const recorder = (...values: number[]): Recorder => {
  const record = new Recorder();
  for (const value of values) record.add("wake", value);
  return record;
};
const round = (mine: number[], other: number[]): Round => ({
  mine: recorder(...mine),
  other: recorder(...other),
});

Deno.test("order() lets both sides be first by turns", () => {
  assertEquals([0, 1, 2].map((r) => order(r)[0]), ["mine", "other", "mine"]);
  for (const r of [0, 1]) assertEquals([...order(r)].sort(), ["mine", "other"]);
});

Deno.test("compareRows() takes the ratio within each round: drift of the machine cancels out", () => {
  const rounds = [round([8], [10]), round([80], [100]), round([12, 16, 20], [20])];
  assertEquals(compareRows(rounds, SPECS), [{
    name: "wake",
    unit: "ms",
    n: 5,
    other_n: 3,
    p50: 16,
    other_p50: 20,
    ratio: 0.8,
    ratio_min: 0.8,
    ratio_max: 0.8,
    differs: true,
    note: null,
  }]);
});

Deno.test("compareRows() sees a difference only when every round is on one side", () => {
  const differs = (...ratios: number[]): boolean | null | undefined =>
    compareRows(ratios.map((r) => round([r * 100], [100])), SPECS)[0]?.differs;
  assertEquals(differs(0.9, 0.8, 0.99), true);
  assertEquals(differs(1.1, 1.2, 1.3), true);
  assertEquals(differs(0.9, 1.1, 0.8), false);
  assertEquals(differs(0.5, 0.5), null);
});

Deno.test("compareRows() takes the middle of an even number of rounds", () => {
  const [row] = compareRows([round([80], [100]), round([100], [100])], SPECS);
  assertEquals([row?.ratio, row?.ratio_min, row?.ratio_max], [0.9, 0.8, 1]);
});

Deno.test("compareRows() has no ratio where one side has nothing, and says why", () => {
  const other = new Recorder();
  other.fail("wake", new Error("No such route"));
  const [row] = compareRows([{ mine: recorder(5), other }], SPECS);
  assertEquals([row?.p50, row?.other_p50, row?.ratio, row?.differs], [5, null, null, null]);
  assertEquals(row?.note, "other: 1 failed: No such route");
});
