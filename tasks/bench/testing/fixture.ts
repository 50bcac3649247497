/** A phase's context over a fake platform. */
import type { PhaseContext } from "../phases/phase.ts";
import type { BenchPlatform } from "../platforms.ts";
import { noResults } from "../results.ts";
import { QUICK_RUNS, type Runs } from "../runs.ts";
import { type OpenPlatform, openPlatform, type RunOptions } from "../run_phases.ts";
import type { SandboxShape } from "../sandbox_api.ts";
import { FAKE_KEY, type FakeOptions, FakePlatform } from "./fake_platform.ts";

/** What is measured. */
export const SHAPE: SandboxShape = { template: "base", vcpus: 1, memoryMb: 512 };

/** Few runs. */
export const RUNS: Runs = { ...QUICK_RUNS, creates: 4, idleSec: 0.1 };

/** A platform, its connection, and the context of a phase. */
export interface Fixture extends AsyncDisposable {
  readonly fake: FakePlatform;
  readonly opened: OpenPlatform;
  readonly context: PhaseContext;
  readonly run: RunOptions;
  /** What the phases said. */
  readonly said: string[];
  /** Stops the run. */
  readonly abort: AbortController;
}

/** The fake as a platform that the bench has started. */
export function asPlatform(
  fake: FakePlatform,
  poolSize: number | undefined,
): BenchPlatform {
  return {
    url: fake.url,
    key: FAKE_KEY,
    agent: fake,
    host: { runDir: fake.runDir, agentPid: fake.agentPid, processes: fake },
    poolSize,
    [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
  };
}

/** Starts a platform. */
export function startFixture(options: FakeOptions = {}, runs: Partial<Runs> = {}): Fixture {
  const fake = new FakePlatform(options);
  const said: string[] = [];
  const abort = new AbortController();
  const run: RunOptions = {
    shape: SHAPE,
    runs: { ...RUNS, ...runs },
    say: (line) => void said.push(line),
    signal: abort.signal,
  };
  const platform = asPlatform(fake, options.pool);
  const opened = openPlatform(platform, run);
  const context: PhaseContext = {
    ...noResults(),
    ...run,
    api: opened.api,
    gauge: fake,
    host: platform.host,
    poolSize: options.pool,
    peerTurn: undefined,
  };
  return {
    fake,
    opened,
    context,
    run,
    said,
    abort,
    [Symbol.asyncDispose]: async () => {
      opened[Symbol.dispose]();
      await fake[Symbol.asyncDispose]();
    },
  };
}
