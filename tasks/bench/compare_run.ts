/** Measuring two commits by turns, each on a platform of its own. */
import { order } from "./compare.ts";
import { PHASES } from "./phases/mod.ts";
import type { BenchPlatform } from "./platforms.ts";
import { noResults, type Results } from "./results.ts";
import { byPool, openPlatform, type RunOptions, runPhase, wantedPhases } from "./run_phases.ts";
import { perRound } from "./runs.ts";

/** How to compare. */
export interface CompareOptions extends RunOptions {
  readonly only: readonly string[];
  readonly rounds: number;
  /** Starts a platform of this commit that keeps so many warm machines. */
  readonly openMine: (pool: number) => Promise<BenchPlatform>;
  /** Starts one of the other commit. */
  readonly openOther: (pool: number) => Promise<BenchPlatform>;
}

/** What both sides have recorded in one round. */
export interface RoundResults {
  readonly mine: Results;
  readonly other: Results;
}

/** What was measured. */
export interface ComparedRun {
  readonly rounds: readonly RoundResults[];
  /** `kvm`, `tcg`, or `unknown`. */
  readonly accel: string;
}

/** Runs every phase that can be compared, both sides in every round. @throws When a platform does not start. */
export async function compareCommits(options: CompareOptions): Promise<ComparedRun> {
  const { only, openMine, openOther, say, signal } = options;
  const phases = wantedPhases(PHASES, only).filter(({ compared }) => compared);
  if (phases.length === 0) throw new Error("None of these rows can be compared");
  const rounds = Array.from(
    { length: options.rounds },
    (): RoundResults => ({ mine: noResults(), other: noResults() }),
  );
  const share: RunOptions = { ...options, runs: perRound(options.runs, options.rounds) };
  let accel = "unknown";
  for (const group of byPool(phases)) {
    signal.throwIfAborted();
    await using mine = await openMine(group.pool);
    await using other = await openOther(group.pool);
    using openedMine = openPlatform(mine, options);
    using openedOther = openPlatform(other, options);
    const opened = { mine: openedMine, other: openedOther };
    accel = (await mine.agent?.host())?.accelerator ?? accel;
    for (const phase of group.phases) {
      for (const [index, results] of rounds.entries()) {
        say(`${phase.name}: round ${index + 1} of ${rounds.length}`);
        for (const side of order(index)) {
          await runPhase(phase, opened[side], results[side], share);
        }
      }
    }
  }
  return { rounds, accel };
}
