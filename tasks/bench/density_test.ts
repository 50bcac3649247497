import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Density, runDensity, stateOf } from "./density.ts";
import { type Fixture, startFixture } from "./testing/fixture.ts";

function dense({ context, opened, fake }: Fixture, count: number): Promise<Density> {
  const { say, signal } = context;
  const { host } = opened.platform;
  if (host === undefined) throw new Error("No host");
  void fake;
  return runDensity({ api: opened.api, host, count, say, signal, settleMs: 1 });
}

Deno.test("stateOf() lets a tenth run and halves the rest", () => {
  const states = Array.from({ length: 100 }, (_, i) => stateOf(i));
  const count = (state: string): number => states.filter((s) => s === state).length;
  assertEquals([count("running"), count("paused"), count("hibernated")], [10, 45, 45]);
});

Deno.test("runDensity() counts the memory of machines and agent, and asks every sandbox", async () => {
  await using fixture = startFixture({ pool: 0 });
  const found = await dense(fixture, 20);
  assertEquals(found, {
    sandboxes: 20,
    running: 2,
    paused: 9,
    hibernated: 9,
    vmms: 11,
    vmm_pss_mb: 1100,
    agent_pss_mb: 60,
    pss_mb: 1160,
    limit_mb: 8192,
    answered: 20,
    met: true,
    note: null,
  });
  assertEquals(fixture.fake.boxes.size, 0);
});

Deno.test("runDensity() is not met above the limit", async () => {
  await using fixture = startFixture({ pool: 0 });
  fixture.fake.memory = () => Promise.resolve({ privateMb: 1, pssMb: 800 });
  assertEquals((await dense(fixture, 20)).met, false);
});

Deno.test("runDensity() is not met when one does not answer", async () => {
  await using fixture = startFixture({ pool: 0 });
  fixture.fake.failNext("resume", 500, "internal");
  const found = await dense(fixture, 20);
  assertEquals([found.answered, found.met], [19, false]);
  assert(found.note?.includes("500 internal"), `${found.note}`);
});

Deno.test("runDensity() fails when not all can live at once, and leaves none", async () => {
  await using fixture = startFixture({ pool: 0 });
  fixture.fake.failNext("hibernate", 507, "no_space");
  await assertRejects(() => dense(fixture, 20), Error, "no_space");
  assertEquals(fixture.fake.boxes.size, 0);
});
