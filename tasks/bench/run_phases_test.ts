import { assertEquals, assertRejects } from "@std/assert";
import { PHASES } from "./phases/mod.ts";
import type { Phase } from "./phases/phase.ts";
import { noResults } from "./results.ts";
import { byPool, runPhase, wantedPhases } from "./run_phases.ts";
import { startFixture } from "./testing/fixture.ts";

const PHASE: Phase = {
  name: "test",
  pool: 0,
  rows: ["pause", "resume"],
  compared: true,
  strict: false,
  run: () => Promise.resolve(),
};

Deno.test("byPool() needs three platforms for everything", () => {
  const groups = byPool(PHASES);
  assertEquals(groups.map(({ pool }) => pool), [4, 20, 0]);
  assertEquals(groups.flatMap(({ phases }) => phases).length, PHASES.length);
});

Deno.test("wantedPhases() takes those that fill a row that was asked for", () => {
  assertEquals(wantedPhases(PHASES, []).length, PHASES.length);
  assertEquals(wantedPhases(PHASES, ["wake", "fork8"]).map(({ name }) => name), [
    "hibernate",
    "fork",
  ]);
  assertEquals(wantedPhases(PHASES, ["peer_runsc_true"]), []);
});

Deno.test("runPhase() makes what breaks a phase a failure of the rows it has not come to", async () => {
  await using fixture = startFixture();
  const results = noResults();
  const run: Phase["run"] = ({ record }) => {
    record.add("pause", 1);
    return Promise.reject(new Error("It broke"));
  };
  await runPhase({ ...PHASE, run }, fixture.opened, results, fixture.run);
  const rows = results.record.rows([{ name: "pause", unit: "ms" }, { name: "resume", unit: "ms" }]);
  assertEquals(rows.map(({ n, failed, note }) => [n, failed, note]), [
    [1, 0, null],
    [0, 1, "It broke"],
  ]);
});

Deno.test("runPhase() leaves a phase out whose pool this platform does not keep", async () => {
  await using fixture = startFixture({ pool: 4 });
  const results = noResults();
  let ran = false;
  const run: Phase["run"] = () => {
    ran = true;
    return Promise.resolve();
  };
  await runPhase({ ...PHASE, run, pool: 20, strict: true }, fixture.opened, results, fixture.run);
  const [row] = results.record.rows([{ name: "pause", unit: "ms" }]);
  assertEquals([ran, row?.n, row?.failed], [false, 0, 0]);
  assertEquals(row?.note, "Left out: needs a platform with 20 warm machines");
});

Deno.test("runPhase() ends with the run", async () => {
  await using fixture = startFixture();
  const run: Phase["run"] = () => {
    fixture.abort.abort(new Error("Enough"));
    return Promise.reject(new Error("Cut off"));
  };
  const work = () => runPhase({ ...PHASE, run }, fixture.opened, noResults(), fixture.run);
  await assertRejects(work, Error, "Enough");
});
