/** The three modes of the ComputeSDK benchmarks, for the time from a create to the output of a first command. */
import type { Launched } from "./launch.ts";
import { hundredth, type Spread, spread, trimmed } from "./stats.ts";

/** How the sandboxes of a mode follow each other. */
export type Mode = "sequential" | "staggered" | "burst";

/** Milliseconds between two starts of the staggered mode. */
export const STAGGER_MS = 200;

/**
 * What a mode has shown. As in the ComputeSDK method the percentiles are those of the times without the lowest and
 * the highest 5 %, `min` and `max` those of all of them, and failures only lower the rate of success.
 */
export interface ModeResult extends Omit<Spread, "n"> {
  readonly mode: Mode;
  /** Sandboxes asked for. */
  readonly n: number;
  /** Warm machines that the platform keeps. */
  readonly pool: number;
  /** Share of the sandboxes that printed what they should. */
  readonly success_rate: number;
  /** From the first request to the last output; null for the sequential mode. */
  readonly wall_ms: number | null;
  /** The first output, from the first request; null for the sequential mode. */
  readonly first_ms: number | null;
  /** The first failure. */
  readonly note: string | null;
}

/** A mode whose sandboxes overlapped; each value is the time of one sandbox. */
export function overlapping(
  mode: Mode,
  pool: number,
  launched: readonly Launched<number>[],
): ModeResult {
  const times: number[] = [];
  const ends: number[] = [];
  let note: string | null = null;
  for (const { outcome, startMs } of launched) {
    if (outcome.status === "fulfilled") {
      times.push(outcome.value);
      ends.push(startMs + outcome.value);
    } else note ??= String(outcome.reason?.message ?? outcome.reason);
  }
  return {
    ...result(mode, pool, launched.length, times, note),
    wall_ms: ends.length === 0 ? null : hundredth(Math.max(...ends)),
    first_ms: ends.length === 0 ? null : hundredth(Math.min(...ends)),
  };
}

/** The mode whose sandboxes follow each other, from the samples of its row. */
export function sequential(pool: number, times: readonly number[], runs: number): ModeResult {
  return {
    ...result("sequential", pool, runs, times, null),
    wall_ms: null,
    first_ms: null,
  };
}

function result(
  mode: Mode,
  pool: number,
  runs: number,
  times: readonly number[],
  note: string | null,
): Omit<ModeResult, "wall_ms" | "first_ms"> {
  const all = spread(times);
  const { p50, p95, p99 } = spread(trimmed(times));
  return {
    ...all,
    mode,
    n: runs,
    pool,
    p50,
    p95,
    p99,
    success_rate: runs === 0 ? 0 : times.length / runs,
    note,
  };
}
