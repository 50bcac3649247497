/** Measuring one commit: peers, then every phase on a platform that keeps as many warm machines as it needs. */
import type { PeerTurn } from "./peers.ts";
import { PHASES } from "./phases/mod.ts";
import type { BenchPlatform } from "./platforms.ts";
import { noResults, type Results } from "./results.ts";
import { byPool, openPlatform, type RunOptions, runPhase, wantedPhases } from "./run_phases.ts";

/** How to measure. */
export interface MeasureOptions extends RunOptions {
  /** Rows to measure; all when empty. */
  readonly only: readonly string[];
  /** Starts or finds a platform that keeps so many warm machines. The caller of `open` disposes of it. */
  readonly open: (pool: number) => Promise<BenchPlatform>;
  /** Measures the peers, before any platform runs, and answers how to measure those that take turns with a phase. */
  readonly peers: (results: Results) => Promise<PeerTurn | undefined>;
}

/** What was measured, and on what. */
export interface Measured extends Results {
  /** `kvm`, `tcg`, or `unknown`. */
  readonly accel: string;
  /** The rows waited for a full pool. */
  readonly waited: boolean;
}

/** Measures everything asked for. What fails is in the rows. @throws The signal's reason. */
export async function measure(options: MeasureOptions): Promise<Measured> {
  const { only, open, peers, say, signal } = options;
  const results = noResults();
  const peerTurn = await peers(results);
  let accel = "unknown";
  let waited = true;
  for (const { pool, phases } of byPool(wantedPhases(PHASES, only))) {
    signal.throwIfAborted();
    try {
      await using platform = await open(pool);
      using opened = openPlatform(platform, options);
      accel = (await platform.agent?.host())?.accelerator ?? accel;
      waited = waited && platform.agent !== undefined;
      for (const phase of phases) await runPhase(phase, opened, results, options, peerTurn);
    } catch (error) {
      signal.throwIfAborted();
      say(error instanceof Error ? error.message : String(error));
      for (const row of phases.flatMap(({ rows }) => rows)) {
        if (results.record.runs(row) === 0) results.record.fail(row, error);
      }
    }
  }
  return { ...results, accel, waited };
}
