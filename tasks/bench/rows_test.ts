import { assert, assertEquals } from "@std/assert";
import { PHASES } from "./phases/mod.ts";
import { ALL_ROWS, ROWS } from "./rows.ts";

Deno.test("ROWS stand in the order of the result", () => {
  assertEquals(
    ROWS.map(({ name }) => name).join(" "),
    "create_warm create_to_echo create_to_python create_restore burst20_wall burst20_pool_wall " +
      "pause resume hibernate wake fork8 exec_true idle_private_mb idle_cpu_pct",
  );
});

Deno.test("every row but the peers' is filled by exactly one phase, and no phase fills another", () => {
  const filled = PHASES.flatMap(({ rows }) => rows);
  assertEquals(new Set(filled).size, filled.length);
  const wanted = ALL_ROWS.map(({ name }) => name).filter((name) => !name.startsWith("peer_"));
  assertEquals(filled.toSorted(), wanted.toSorted());
});

Deno.test("every target that depends on a row names one", () => {
  for (const { target } of ALL_ROWS) {
    const other = target?.p50Of?.row;
    assert(other === undefined || ALL_ROWS.some(({ name }) => name === other));
  }
});
