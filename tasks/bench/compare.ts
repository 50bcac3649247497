/** Two commits measured in one run, by turns: what the machine does meanwhile meets both. */
import type { Recorder } from "./recorder.ts";
import type { RowSpec } from "./rows.ts";
import { hundredth, percentile, type Unit } from "./stats.ts";

/** A row of both. */
export interface ComparedRow {
  readonly name: string;
  readonly unit: Unit;
  /** Samples of this commit. */
  readonly n: number;
  readonly other_n: number;
  /** Median of this commit over all rounds. */
  readonly p50: number | null;
  readonly other_p50: number | null;
  /** Median of the rounds' ratios, this commit's median to the other one's: below 1 this one is faster. */
  readonly ratio: number | null;
  /** Smallest ratio of a round. */
  readonly ratio_min: number | null;
  /** Largest ratio of a round. */
  readonly ratio_max: number | null;
  /** All rounds are on one side of 1; null below three rounds, where that says nothing. */
  readonly differs: boolean | null;
  /** Failures of either side. */
  readonly note: string | null;
}

/** The whole comparison. */
export interface Comparison {
  readonly commit: string;
  readonly other_commit: string;
  readonly rounds: number;
  readonly rows: readonly ComparedRow[];
}

/** One round: what both sides have recorded in it. */
export interface Round {
  readonly mine: Recorder;
  readonly other: Recorder;
}

/** Below so many rounds all of them easily fall on one side by chance. */
const LEAST_ROUNDS = 3;

/** Who comes first in each round: they change places, so that neither always finds the machine warm. */
export function order(round: number): readonly ["mine" | "other", "mine" | "other"] {
  return round % 2 === 0 ? ["mine", "other"] : ["other", "mine"];
}

/** Compares rows over all rounds. */
export function compareRows(rounds: readonly Round[], specs: readonly RowSpec[]): ComparedRow[] {
  return specs.map((spec) => compareRow(rounds, spec));
}

function compareRow(rounds: readonly Round[], spec: RowSpec): ComparedRow {
  const { name, unit } = spec;
  const mine = rounds.flatMap(({ mine }) => mine.values(name));
  const other = rounds.flatMap(({ other }) => other.values(name));
  const ratios = rounds.flatMap((round) => {
    const [a, b] = [median(round.mine.values(name)), median(round.other.values(name))];
    return a === null || b === null || b === 0 ? [] : [a / b];
  });
  const some = ratios.length > 0;
  return {
    name,
    unit,
    n: mine.length,
    other_n: other.length,
    p50: rounded(median(mine)),
    other_p50: rounded(median(other)),
    ratio: some ? thousandth(median(ratios) ?? NaN) : null,
    ratio_min: some ? thousandth(Math.min(...ratios)) : null,
    ratio_max: some ? thousandth(Math.max(...ratios)) : null,
    differs: ratios.length < LEAST_ROUNDS
      ? null
      : ratios.every((r) => r < 1) || ratios.every((r) => r > 1),
    note: notes(rounds, spec),
  };
}

function notes(rounds: readonly Round[], spec: RowSpec): string | null {
  const of = (side: "mine" | "other", label: string): string[] => {
    const rows = rounds.flatMap((round) => round[side].rows([spec]));
    const failed = rows.reduce((sum, row) => sum + row.failed, 0);
    const first = rows.find(({ note }) => note !== null)?.note;
    if (failed === 0 && first === undefined) return [];
    return [[label, failed > 0 ? `${failed} failed` : "", first ?? ""].filter((t) => t).join(": ")];
  };
  const all = [...of("mine", "this"), ...of("other", "other")];
  return all.length === 0 ? null : all.join("; ");
}

/** Half of the way between the two middle values when their number is even: few rounds, no bias. */
function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  return sorted.length % 2 === 1 ? upper : (percentile(sorted, 50) + upper) / 2;
}

function rounded(value: number | null): number | null {
  return value === null ? null : hundredth(value);
}

function thousandth(value: number): number {
  return Math.round(value * 1000) / 1000;
}
