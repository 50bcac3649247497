import { assert, assertEquals } from "@std/assert";
import { startFixture } from "../testing/fixture.ts";
import { createPhase } from "./create.ts";

Deno.test("create: every sandbox comes from a full pool, and all are destroyed", async () => {
  await using fixture = startFixture({ pool: 4, refillMs: 20 });
  const { context, fake } = fixture;
  await createPhase.run(context);
  const { record } = context;
  assertEquals(record.values("create_warm").length, 8);
  assertEquals(record.values("create_to_echo").length, 4);
  assertEquals(record.values("create_to_python").length, 4);
  const waiting = fake.calls("create").slice(0, 8);
  assertEquals(waiting.map(({ ready }) => ready), [4, 4, 4, 4, 4, 4, 4, 4]);
  assertEquals(fake.boxes.size, 0);
  assertEquals(record.rows([{ name: "create_warm", unit: "ms" }])[0]?.note, null);
});

Deno.test("create: the command's time counts for the output and not for the create", async () => {
  await using fixture = startFixture({ pool: 4, takes: { create: 30, exec: 40 } });
  const { record, ...context } = fixture.context;
  await createPhase.run({ record, ...context });
  const least = (row: string): number => Math.min(...record.values(row));
  assert(least("create_warm") >= 28 && least("create_warm") < 66, `${least("create_warm")}`);
  assert(least("create_to_echo") >= 66, `${least("create_to_echo")}`);
});

Deno.test("create: the sustained rate does not wait for the pool", async () => {
  await using fixture = startFixture({ pool: 1, refillMs: 100 }, { sustained: 12 });
  await createPhase.run(fixture.context);
  const [rate] = fixture.context.sustained;
  assertEquals([rate?.n, rate?.failed, rate?.pool], [12, 0, 1]);
  assert((rate?.hits ?? 99) < 12, `${rate?.hits} hits`);
  assert((rate?.per_second ?? 0) > 0);
});

Deno.test("create: the breakdown comes from the answers' headers", async () => {
  const timing = { create: "sql;dur=1, rpc;dur=9, claim;dur=0.5, init;dur=6" };
  await using fixture = startFixture({ pool: 4, timing });
  await createPhase.run(fixture.context);
  const [create] = fixture.context.paths.breakdowns();
  const step = (name: string) => create?.steps.find((s) => s.name === name)?.p50;
  assertEquals([create?.call, create?.n], ["create", 8]);
  assertEquals([step("init"), step("claim"), step("rpc_rest")], [6, 0.5, 2.5]);
  assertEquals([step("auth"), step("policy")], [null, null]);
});

Deno.test("create: an agent without a pool is measured and noted", async () => {
  await using fixture = startFixture({});
  await createPhase.run(fixture.context);
  const [row] = fixture.context.record.rows([{ name: "create_warm", unit: "ms" }]);
  assertEquals([row?.n, row?.note], [8, "The agent keeps no warm pool"]);
});

Deno.test("create: a wrong output is a failure of its row alone", async () => {
  await using fixture = startFixture({ pool: 4 });
  const { context, fake } = fixture;
  fake.failNext("exec", 503, "guest_unavailable");
  await createPhase.run(context);
  const specs = createPhase.rows.map((name) => ({ name, unit: "ms" as const }));
  const rows = context.record.rows(specs);
  assertEquals(rows.map(({ n, failed }) => [n, failed]), [[8, 0], [3, 1], [4, 0]]);
  assert(rows[1]?.note?.includes("503 guest_unavailable"), `${rows[1]?.note}`);
  assertEquals(fake.boxes.size, 0);
});
