/**
 * `deno task bench`: measures the platform beside the peers found on this machine. Starts platforms of its own, one
 * after the other with the warm machines that the rows need, or measures the one of `--url`. Prints tables, and
 * writes JSON with `--json FILE`. See docs/performance.md.
 */
import { compareRows, type Comparison } from "./bench/compare.ts";
import { compareCommits } from "./bench/compare_run.ts";
import { commitOf, type Conditions, NO_WAITS, readConditions, WAITS } from "./bench/conditions.ts";
import { type Density, runDensity } from "./bench/density.ts";
import { runLabBench } from "./bench/lab/lab_bench.ts";
import { measure } from "./bench/measure.ts";
import { type BenchOptions, parseBenchOptions, USAGE } from "./bench/options.ts";
import { PEER_RUNS, runPeers } from "./bench/peers.ts";
import {
  type BenchPlatform,
  givenPlatform,
  OTHER_SLOTS,
  SLOTS,
  startOwn,
} from "./bench/platforms.ts";
import { formatReport, measuredReport, type Report } from "./bench/report.ts";
import { ROWS, TRANSFER_ROWS } from "./bench/rows.ts";
import { openPlatform, type RunOptions } from "./bench/run_phases.ts";
import type { SandboxShape } from "./bench/sandbox_api.ts";
import { checkOut } from "./bench/worktree.ts";
import { defaultCacheDir } from "./images/mod.ts";
import { fail, repoRoot, say } from "./lib/shell.ts";

const options = parseOptions();
const shape: SandboxShape = { template: options.template, vcpus: 1, memoryMb: 512 };
const signal = stopSignal();
const run: RunOptions = { shape, runs: options.runs, say, signal };
try {
  const start = performance.now();
  const report = await main();
  if (options.json) await Deno.writeTextFile(options.json, JSON.stringify(report, null, 2) + "\n");
  say(`\n${formatReport(report)}\n${((performance.now() - start) / 1000).toFixed(0)} s`);
} catch (error) {
  if (signal.aborted) fail("Stopped");
  fail(`Cannot measure: ${error instanceof Error ? error.message : error}`);
}

async function main(): Promise<Report> {
  // First of all: what is started from here on is load as well.
  const early = await readConditions(repoRoot(), shape, options.runs);
  if (!early.quiet) say(`The machine is busy (load ${early.load_before[0]}): nothing can be met`);
  const conditions = (accel: string, waits: string | null): Conditions => ({
    ...early,
    accel,
    waits,
    load_after: Deno.loadavg(),
  });
  if (options.compare !== undefined) {
    const { comparison, accel } = await compare(options.compare);
    return { conditions: conditions(accel, WAITS), comparison };
  }
  if (options.lab) {
    return { conditions: conditions("kvm and tcg", null), lab: await runLabBench(say, signal) };
  }
  if (options.density) {
    const { density, accel } = await measureDensity();
    return { conditions: conditions(accel, null), density };
  }
  const wanted = (row: string): boolean => options.only.length === 0 || options.only.includes(row);
  const measured = await measure({
    ...run,
    only: options.only,
    open: opener(options),
    peers: ({ record }) =>
      runPeers({
        ...run,
        record,
        runs: options.quick ? options.runs.bursts : PEER_RUNS,
        wanted,
        build: options.peers,
        cacheDir: defaultCacheDir(),
      }, wanted("create_to_python") ? ["peer_runsc_python"] : []),
  });
  const waits = measured.waited ? WAITS : NO_WAITS;
  return measuredReport(conditions(measured.accel, waits), measured, options.only);
}

async function compare(revision: string): Promise<{ comparison: Comparison; accel: string }> {
  await using other = await checkOut(repoRoot(), revision);
  const commit = await commitOf(repoRoot());
  say(`Comparing ${commit} with ${other.commit}`);
  const { rounds, accel } = await compareCommits({
    ...run,
    only: options.only,
    rounds: options.rounds,
    openMine: (pool) => startOwn({ pool, shape, slots: SLOTS, say }),
    openOther: (pool) => startOwn({ pool, shape, slots: OTHER_SLOTS, root: other.root, say }),
  });
  const recorded = rounds.map(({ mine, other }) => ({ mine: mine.record, other: other.record }));
  const rows = compareRows(recorded, [...ROWS, ...TRANSFER_ROWS])
    .filter(({ n, other_n, note }) => n + other_n > 0 || note !== null);
  const comparison = { commit, other_commit: other.commit, rounds: options.rounds, rows };
  return { comparison, accel };
}

async function measureDensity(): Promise<{ density: Density; accel: string }> {
  await using platform = await startOwn({ pool: 0, shape, slots: SLOTS, say });
  using opened = openPlatform(platform, run);
  const { host } = platform;
  if (host === undefined) throw new Error("The platform's processes are not on this machine");
  const accel = (await platform.agent?.host())?.accelerator ?? "unknown";
  const density = await runDensity({
    api: opened.api,
    host,
    count: options.runs.density,
    say,
    signal,
  });
  return { density, accel };
}

/** Platforms of the bench's own, or the one that was given, whatever its pool. */
function opener({ url, key }: BenchOptions): (pool: number) => Promise<BenchPlatform> {
  return url === undefined || key === undefined
    ? (pool) => startOwn({ pool, shape, slots: SLOTS, say })
    : () => givenPlatform(url, key, shape);
}

function parseOptions(): BenchOptions {
  try {
    return parseBenchOptions(Deno.args);
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
}

/** Aborts at the first signal, so that platforms end in order; the third one leaves them. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let seen = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => {
      if (++seen === 1) say(`${name}: ending the platform`);
      if (seen > 2) Deno.exit(130);
      controller.abort(new Error(`Stopped by ${name}`));
    });
  }
  return controller.signal;
}
