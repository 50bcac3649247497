import { assert, assertEquals, assertRejects } from "@std/assert";
import { compareCommits, type CompareOptions } from "./compare_run.ts";
import { compareRows } from "./compare.ts";
import type { BenchPlatform } from "./platforms.ts";
import { asPlatform, RUNS, SHAPE } from "./testing/fixture.ts";
import { FakePlatform } from "./testing/fake_platform.ts";

/** Platforms that take so long for a pause, and every one that was started. */
function sides(mineMs: number, otherMs: number): {
  started: { side: string; pool: number; fake: FakePlatform }[];
  options: CompareOptions;
} {
  const started: { side: string; pool: number; fake: FakePlatform }[] = [];
  const open = (side: string, pause: number) => (pool: number): Promise<BenchPlatform> => {
    const fake = new FakePlatform({ pool, takes: { pause } });
    started.push({ side, pool, fake });
    return Promise.resolve(asPlatform(fake, pool));
  };
  return {
    started,
    options: {
      shape: SHAPE,
      runs: { ...RUNS, pauses: 6 },
      say: () => {},
      signal: new AbortController().signal,
      only: ["pause"],
      rounds: 3,
      openMine: open("mine", mineMs),
      openOther: open("other", otherMs),
    },
  };
}

Deno.test("compareCommits() measures both in every round, on one platform each", async () => {
  const { options, started } = sides(10, 30);
  const { rounds, accel } = await compareCommits(options);
  assertEquals(started.map(({ side, pool }) => [side, pool]), [["mine", 4], ["other", 4]]);
  assertEquals(
    rounds.map(({ mine, other }) => [
      mine.record.values("pause").length,
      other.record.values("pause").length,
    ]),
    [[2, 2], [2, 2], [2, 2]],
  );
  const recorded = rounds.map(({ mine, other }) => ({ mine: mine.record, other: other.record }));
  const [row] = compareRows(recorded, [{ name: "pause", unit: "ms" }]);
  assert(row?.ratio !== null && row?.ratio !== undefined && row.ratio < 0.9, `${row?.ratio}`);
  assertEquals([row.differs, accel], [true, "tcg"]);
});

Deno.test("compareCommits() refuses rows that say nothing about two commits", async () => {
  const { options, started } = sides(1, 1);
  const work = () => compareCommits({ ...options, only: ["idle_cpu_pct"] });
  await assertRejects(work, Error, "can be compared");
  assertEquals(started.length, 0);
});

Deno.test("compareCommits() ends the first platform when the second does not start", async () => {
  const { options, started } = sides(1, 1);
  const openOther = () => Promise.reject(new Error("It does not start"));
  await assertRejects(() => compareCommits({ ...options, openOther }), Error, "does not start");
  const url = started[0]?.fake.url ?? "";
  await assertRejects(() => fetch(url));
});
