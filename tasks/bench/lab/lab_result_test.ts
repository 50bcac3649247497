import { assertEquals } from "@std/assert";
import { LAB_ROWS, type LabFigures, labTable, median } from "./lab_result.ts";

function figures(bare: number, values: readonly number[]): LabFigures {
  const rows = LAB_ROWS.map((row) => [row, row === "fork" ? [] : values]);
  return { bare, rows: Object.fromEntries(rows) };
}

Deno.test("labTable() has the medians and their ratios to the bare boot, and shows what failed", () => {
  const table = labTable({ kvm: figures(2000, [900, 1000, 9000]), tcg: figures(4000, [2000]) });
  assertEquals(table[1], ["bare boot", "2.00", "1.00", "4.00", "1.00"]);
  assertEquals(table[2], ["boot", "1.00", "0.50", "2.00", "0.50"]);
  assertEquals(table.at(-1), ["fork", "-", "-", "-", "-"]);
});

Deno.test("median() takes the middle", () => {
  assertEquals([median([]), median([3]), median([1, 9, 2]), median([4, 2])], [undefined, 3, 2, 3]);
});
