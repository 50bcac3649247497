/** Percentiles and means of measured values. */

/** What a value counts. */
export type Unit = "ms" | "MB" | "%";

/** How samples are spread. Everything is null when there is none: nothing was measured, which is not zero. */
export interface Spread {
  /** Samples. */
  readonly n: number;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly min: number | null;
  readonly max: number | null;
  /** Mean without the lowest and the highest 5 %; null below 20 samples, where that cuts nothing. */
  readonly trimmed_mean: number | null;
}

/** Part of the samples that is cut from each end. */
const TRIM = 0.05;

/**
 * The smallest sample that at least `percent` of all samples do not exceed (nearest rank).
 *
 * @param percent Above 0, up to 100.
 */
export function percentile(samples: readonly number[], percent: number): number {
  if (samples.length === 0) throw new RangeError("Cannot take a percentile of nothing");
  if (!(percent > 0 && percent <= 100)) {
    throw new RangeError(`Percent must be above 0 and at most 100: ${percent}`);
  }
  const sorted = samples.toSorted((a, b) => a - b);
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[rank - 1] ?? NaN;
}

/** The samples in order without the lowest and the highest 5 %, rounded down. */
export function trimmed(samples: readonly number[]): number[] {
  const cut = Math.floor(samples.length * TRIM);
  return samples.toSorted((a, b) => a - b).slice(cut, samples.length - cut);
}

/** The arithmetic mean. */
export function mean(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError("Cannot take a mean of nothing");
  return samples.reduce((sum, value) => sum + value, 0) / samples.length;
}

/** The spread of samples, rounded to a hundredth. */
export function spread(samples: readonly number[]): Spread {
  const n = samples.length;
  if (n === 0) {
    return { n, p50: null, p95: null, p99: null, min: null, max: null, trimmed_mean: null };
  }
  const inner = trimmed(samples);
  return {
    n,
    p50: hundredth(percentile(samples, 50)),
    p95: hundredth(percentile(samples, 95)),
    p99: hundredth(percentile(samples, 99)),
    min: hundredth(Math.min(...samples)),
    max: hundredth(Math.max(...samples)),
    trimmed_mean: inner.length === n ? null : hundredth(mean(inner)),
  };
}

/** Rounded to a hundredth. */
export function hundredth(value: number): number {
  return Math.round(value * 100) / 100;
}
