import { assert, assertEquals } from "@std/assert";
import { startFixture } from "../testing/fixture.ts";
import { hibernatePhase } from "./hibernate.ts";

const SPECS = [{ name: "hibernate", unit: "ms" as const }, { name: "wake", unit: "ms" as const }];

Deno.test("hibernate: a new sandbox each time, with memory of its own that is there afterwards", async () => {
  await using fixture = startFixture({ pool: 4, takes: { hibernate: 20, resume: 40, exec: 200 } });
  const { context, fake } = fixture;
  await hibernatePhase.run(context);
  const calls = fake.seen.map(({ call }) => call);
  assertEquals(calls.slice(0, 6), ["create", "exec", "hibernate", "resume", "exec", "delete"]);
  assertEquals(fake.calls("create").length, 2);
  const rows = context.record.rows(SPECS);
  assertEquals(rows.map(({ n, failed }) => [n, failed]), [[2, 0], [2, 0]]);
  assert((rows[0]?.min ?? 0) >= 19);
  assert((rows[1]?.min ?? 0) >= 38 && (rows[1]?.min ?? 999) < 200, "the check does not count");
  assertEquals(fake.boxes.size, 0);
});

Deno.test("hibernate: a sandbox that woke without its memory is no sample of `wake`", async () => {
  await using fixture = startFixture({ pool: 4, forgets: true });
  const { context, fake } = fixture;
  await hibernatePhase.run(context);
  assertEquals(context.record.rows(SPECS).map(({ n, failed }) => [n, failed]), [[2, 0], [0, 2]]);
  assertEquals(fake.boxes.size, 0);
});

Deno.test("hibernate: a platform that cannot fails both rows and no more", async () => {
  await using fixture = startFixture({ pool: 4 }, { hibernations: 50 });
  const { context, fake } = fixture;
  fake.failNext("hibernate", 404, "not_found", 50);
  await hibernatePhase.run(context);
  assertEquals(context.record.rows(SPECS).map(({ n, failed }) => [n, failed]), [[0, 3], [0, 3]]);
  assertEquals(fake.boxes.size, 0);
});
