import { assert, assertEquals, assertRejects } from "@std/assert";
import { startFixture } from "../testing/fixture.ts";
import { burst, burstPoolPhase } from "./burst.ts";

Deno.test("burst() asks for twenty at once and counts until the last answer", async () => {
  await using fixture = startFixture({ takes: { restore: 50 } });
  const { context, fake } = fixture;
  await burst(context, "burst20_wall");
  assertEquals(Math.max(...fake.calls("create").map(({ atOnce }) => atOnce)), 20);
  const [wall] = context.record.values("burst20_wall");
  assert(wall !== undefined && wall >= 48 && wall < 20 * 50, `${wall}`);
  assertEquals([fake.calls("delete").length, fake.boxes.size], [20, 0]);
});

Deno.test("burst() is no sample when one create fails, and leaves none of the others", async () => {
  await using fixture = startFixture();
  const { context, fake } = fixture;
  fake.failNext("create", 429, "capacity_exhausted", 2);
  await assertRejects(() => burst(context, "burst20_wall"), Error, "2 of 20 creates failed");
  assertEquals([context.record.values("burst20_wall").length, fake.boxes.size], [0, 0]);
});

Deno.test("burst with a pool: finds it full every time, then runs the overlapping modes", async () => {
  await using fixture = startFixture({ pool: 20, takes: { exec: 5 } }, { bursts: 2 });
  const { context, fake } = fixture;
  await burstPoolPhase.run(context);
  assertEquals(context.record.values("burst20_pool_wall").length, 2);
  const creates = fake.calls("create");
  assertEquals([creates[0]?.ready, creates[20]?.ready], [20, 20]);
  const modes = context.modes.map((
    { mode, n, pool, success_rate },
  ) => [mode, n, pool, success_rate]);
  assertEquals(modes, [["staggered", 4, 20, 1], ["burst", 4, 20, 1]]);
  assert((context.modes[0]?.wall_ms ?? 0) >= 600);
  assert((context.modes[1]?.wall_ms ?? 9999) < (context.modes[0]?.wall_ms ?? 0));
  assertEquals(fake.boxes.size, 0);
});
