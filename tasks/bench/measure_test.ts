import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Conditions, WAITS } from "./conditions.ts";
import { measure, type MeasureOptions } from "./measure.ts";
import type { BenchPlatform } from "./platforms.ts";
import { formatReport, measuredReport, type Report } from "./report.ts";
import { type FakeOptions, FakePlatform } from "./testing/fake_platform.ts";
import { asPlatform, RUNS, SHAPE } from "./testing/fixture.ts";

const CONDITIONS: Conditions = {
  date: "2026-01-31T12:00:00.000Z",
  commit: "abc",
  cpu: "A processor",
  cores: 2,
  memory_mb: 4096,
  kernel: "6.1",
  qemu: "7.2.22",
  accel: "tcg",
  deno: "2.9.6",
  template: "base",
  sandbox_vcpus: 1,
  sandbox_memory_mb: 512,
  load_before: [0.2, 0.1, 0.1],
  load_after: [2, 1, 0.5],
  quiet: true,
  waits: WAITS,
  client: "fetch",
  runs: RUNS,
};

/** Options over fake platforms, and the pools they were started with. */
function setup(
  fakes: FakeOptions = {},
): { options: MeasureOptions; pools: number[]; abort: AbortController } {
  const pools: number[] = [];
  const abort = new AbortController();
  const options: MeasureOptions = {
    shape: SHAPE,
    runs: { ...RUNS, creates: 2, hibernations: 1, sustained: 1 },
    say: () => {},
    signal: abort.signal,
    only: [],
    open: (pool): Promise<BenchPlatform> => {
      pools.push(pool);
      return Promise.resolve(asPlatform(new FakePlatform({ ...fakes, pool }), pool));
    },
    peers: ({ record }) => {
      record.add("peer_runsc_true", 1000);
      return Promise.resolve(() => Promise.resolve(record.add("peer_runsc_python", 1000)));
    },
  };
  return { options, pools, abort };
}

async function report(options: MeasureOptions): Promise<Report> {
  return measuredReport(CONDITIONS, await measure(options), options.only);
}

Deno.test("measure() fills every row, on three platforms, in the order of the result", async () => {
  const { options, pools } = setup();
  const found = await report(options);
  assertEquals(pools, [4, 20, 0]);
  assertEquals(
    found.rows?.map(({ name }) => name).join(" "),
    "create_warm create_to_echo create_to_python create_restore burst20_wall burst20_pool_wall " +
      "pause resume hibernate wake fork8 exec_true idle_private_mb idle_cpu_pct " +
      "peer_runsc_python peer_runsc_true peer_runsc_bare_python peer_bwrap_python peer_crun_python",
  );
  const own = found.rows?.filter(({ name }) => !name.startsWith("peer_")) ?? [];
  assertEquals(own.filter(({ n, failed }) => n === 0 || failed > 0), []);
  // A turn before each of the two samples of `create_to_python`.
  assertEquals(found.rows?.find(({ name }) => name === "peer_runsc_python")?.n, 2);
  // The fake's idle sandbox takes 2 % of a processor.
  assertEquals(own.find(({ name }) => name === "idle_cpu_pct")?.met, false);
  assertEquals(own.filter(({ met }) => met === null), []);
  assertEquals(found.transfers?.map(({ n }) => n), [1, 1]);
  assertEquals(found.modes?.map(({ mode }) => mode), ["sequential", "staggered", "burst"]);
  assertEquals(found.sustained?.length, 1);
  assertEquals(found.paths?.map(({ call }) => call), ["create", "exec", "create_restore"]);
  const text = formatReport(found);
  for (
    const part of ["create_warm", "MISSED", "staggered", "sandboxes/s", "sql absent", "cores: 2"]
  ) {
    assert(text.includes(part), `${part} is not in:\n${text}`);
  }
});

Deno.test("a report of a busy machine calls nothing met", async () => {
  const { options } = setup();
  const measured = await measure({ ...options, only: ["pause"] });
  const busy = { ...CONDITIONS, load_before: [1.5, 1, 1], quiet: false };
  const found = measuredReport(busy, measured, ["pause"]);
  assertEquals(found.rows?.map(({ name, met }) => [name, met]), [["pause", null]]);
  assert(formatReport(found).includes("no figure counts as met"));
});

Deno.test("measure() starts only the platforms that the rows asked for need", async () => {
  const { options, pools } = setup();
  const found = await report({ ...options, only: ["create_restore"] });
  assertEquals(pools, [0]);
  assertEquals(found.rows?.map(({ name }) => name), ["create_restore"]);
  assertEquals(found.transfers, []);
});

Deno.test("measure() goes on when a platform does not start", async () => {
  const { options, pools } = setup();
  const open = (pool: number): Promise<BenchPlatform> =>
    pool === 20 ? Promise.reject(new Error("No memory")) : options.open(pool);
  const found = await report({ ...options, only: ["pause", "burst20_pool_wall"], open });
  assertEquals(pools, [4]);
  assertEquals(found.rows?.map(({ name, failed, note }) => [name, failed, note]), [
    ["burst20_pool_wall", 1, "No memory"],
    ["pause", 0, null],
  ]);
});

Deno.test("measure() of a platform that somebody else has started leaves out what needs another pool", async () => {
  const { options } = setup();
  const open = (): Promise<BenchPlatform> =>
    Promise.resolve({ ...asPlatform(new FakePlatform({ pool: 2 }), undefined), agent: undefined });
  const measured = await measure({ ...options, open, only: ["pause", "create_restore"] });
  const rows = measuredReport(CONDITIONS, measured, []).rows ?? [];
  const row = (name: string) => rows.find((r) => r.name === name);
  assertEquals([row("pause")?.n, measured.waited, measured.accel], [5, false, "unknown"]);
  assert(row("create_restore")?.note?.startsWith("Left out"), `${row("create_restore")?.note}`);
});

Deno.test("measure() ends its platform when the run is stopped", async () => {
  const { options, abort } = setup();
  const fake = new FakePlatform({ pool: 4 });
  const open = (): Promise<BenchPlatform> => {
    setTimeout(() => abort.abort(new Error("Enough")), 30);
    return Promise.resolve(asPlatform(fake, 4));
  };
  await assertRejects(() => measure({ ...options, open }), Error, "Enough");
  await assertRejects(() => fetch(fake.url));
});
