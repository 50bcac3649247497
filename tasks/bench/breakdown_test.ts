import { assertEquals } from "@std/assert";
import { type Breakdown, breakdown, PathLog } from "./breakdown.ts";
import { parseServerTiming } from "./server_timing.ts";

const sample = (totalMs: number, header: string | null) => ({
  totalMs,
  steps: parseServerTiming(header),
});
const medians = ({ steps }: Breakdown): Record<string, number | null> =>
  Object.fromEntries(steps.map(({ name, p50 }) => [name, p50]));

Deno.test("breakdown() gives the median of each step and what the named ones leave over", () => {
  const header =
    "auth;dur=1, sql;dur=2, rpc;dur=15, claim;dur=1, policy;dur=2, resume;dur=3, init;dur=7";
  const found = breakdown("create", [sample(20, header)]);
  assertEquals(medians(found), {
    auth: 1,
    sql: 2,
    rpc: 15,
    claim: 1,
    policy: 2,
    resume: 3,
    init: 7,
    rpc_rest: 2,
    reply: 2,
  });
  assertEquals(found.largest, { name: "init", p50: 7, share: 0.35 });
});

Deno.test("breakdown() shows a step that no answer names as absent, not as zero", () => {
  const found = breakdown("exec", [sample(9, null), sample(11, null)]);
  assertEquals(found.total_p50, 9);
  assertEquals(new Set(Object.values(medians(found))), new Set([null]));
  assertEquals(found.largest, null);
});

Deno.test("breakdown() derives nothing without `rpc`, and keeps what the answer names itself", () => {
  const without = medians(breakdown("create", [sample(9, "sql;dur=3")]));
  assertEquals([without.sql, without.rpc_rest, without.reply], [3, null, null]);
  const named = medians(breakdown("create", [sample(9, "rpc;dur=5, init;dur=1, reply;dur=0.5")]));
  assertEquals([named.rpc_rest, named.reply], [4, 0.5]);
});

Deno.test("breakdown() takes a step's median over the answers that name it, and unknown steps along", () => {
  const found = breakdown("create", [
    sample(10, "rpc;dur=8, restore;dur=6"),
    sample(10, "rpc;dur=8, restore;dur=4"),
    sample(10, "rpc;dur=8, init;dur=2"),
  ]);
  const step = (name: string) => found.steps.find((s) => s.name === name);
  assertEquals([step("restore")?.p50, step("restore")?.n], [4, 2]);
  assertEquals([step("init")?.p50, step("init")?.n], [2, 1]);
  assertEquals(found.largest?.name, "restore");
});

Deno.test("PathLog keeps calls apart", () => {
  const log = new PathLog();
  log.add("create", 5, parseServerTiming("sql;dur=1"));
  log.add("exec", 7, parseServerTiming(null));
  log.add("create", 6, parseServerTiming("sql;dur=2"));
  assertEquals(log.breakdowns().map(({ call, n, total_p50 }) => [call, n, total_p50]), [
    ["create", 2, 5],
    ["exec", 1, 7],
  ]);
});
