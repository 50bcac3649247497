import { assert, assertEquals } from "@std/assert";
import { startFixture } from "../testing/fixture.ts";
import { idlePhase } from "./idle.ts";

const SPECS = [
  { name: "idle_private_mb", unit: "MB" as const },
  { name: "idle_cpu_pct", unit: "%" as const },
];

Deno.test("idle: watches the machines that were claimed, not those of the pool", async () => {
  await using fixture = startFixture({ pool: 4, refillMs: 20 });
  const { context, fake } = fixture;
  await idlePhase.run(context);
  const [memory, cpu] = context.record.rows(SPECS);
  assertEquals([memory?.n, memory?.min, memory?.max], [4, 90, 90]);
  assert((cpu?.p50 ?? 0) > 1.5 && (cpu?.p50 ?? 0) < 2.5, `${cpu?.p50}`);
  assertEquals(cpu?.note, "Watched for 0.1 s instead of 20");
  assertEquals(fake.boxes.size, 0);
});

Deno.test("idle: without a pool the processes are the sandboxes' as well", async () => {
  await using fixture = startFixture({}, { idle: 3 });
  await idlePhase.run(fixture.context);
  const [memory] = fixture.context.record.rows(SPECS);
  assertEquals([memory?.n, memory?.p50], [3, 90]);
});

Deno.test("idle: says nothing when a create came another way", async () => {
  await using fixture = startFixture({ pool: 4 });
  const { context, fake } = fixture;
  let looks = 0;
  // One hit is missing in the count.
  const gauge = {
    pool: async () => {
      const state = await fake.pool();
      return state && { ...state, hits: state.hits - (looks++ > 1 ? 1 : 0) };
    },
  };
  await idlePhase.run({ ...context, gauge });
  const [memory] = context.record.rows(SPECS);
  assertEquals([memory?.n, memory?.failed], [0, 1]);
  assert(memory?.note?.startsWith("Only 3 of 4 sandboxes were warm"), `${memory?.note}`);
  assertEquals(fake.boxes.size, 0);
});

Deno.test("idle: a platform on another machine has no such rows", async () => {
  await using fixture = startFixture({ pool: 4 });
  await idlePhase.run({ ...fixture.context, host: undefined });
  const rows = fixture.context.record.rows(SPECS);
  assertEquals(rows.map(({ n, failed }) => [n, failed]), [[0, 1], [0, 1]]);
});
