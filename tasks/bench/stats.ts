/** Percentiles of measured times. */

/** One line of the result: what was measured and how it was spread. */
export interface Row {
  readonly name: string;
  readonly unit: "ms";
  /** Samples. */
  readonly n: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

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

/** A row of samples in milliseconds, rounded to a hundredth. */
export function toRow(name: string, samples: readonly number[]): Row {
  const at = (percent: number): number => Math.round(percentile(samples, percent) * 100) / 100;
  return { name, unit: "ms", n: samples.length, p50: at(50), p95: at(95), p99: at(99) };
}
