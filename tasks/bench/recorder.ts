/** Collects the samples of all rows, and the runs that gave none. */
import type { RowSpec } from "./rows.ts";
import { type Spread, spread, type Unit } from "./stats.ts";

/** One line of the result: what was measured and how it was spread. */
export interface Row extends Spread {
  readonly name: string;
  readonly unit: Unit;
  /** Runs that gave no sample. */
  readonly failed: number;
  /** What there is to know: the first failure, why it was left out. Null when nothing. */
  readonly note: string | null;
}

/** Samples by row. */
export class Recorder {
  readonly #values = new Map<string, number[]>();
  readonly #failures = new Map<string, string[]>();
  readonly #notes = new Map<string, Set<string>>();

  /** One more sample. */
  add(row: string, value: number): void {
    if (!Number.isFinite(value)) throw new RangeError(`Not a sample of '${row}': ${value}`);
    append(this.#values, row, value);
  }

  /** One more run that gave no sample. */
  fail(row: string, error: unknown): void {
    append(this.#failures, row, error instanceof Error ? error.message : String(error));
  }

  /** Something to know about the row, told once. */
  note(row: string, text: string): void {
    const notes = this.#notes.get(row) ?? new Set();
    this.#notes.set(row, notes.add(text));
  }

  /** Samples and failures so far. */
  runs(row: string): number {
    return this.values(row).length + this.failures(row);
  }

  /** Failures so far. */
  failures(row: string): number {
    return this.#failures.get(row)?.length ?? 0;
  }

  /** Samples so far, in the order they came. */
  values(row: string): readonly number[] {
    return this.#values.get(row) ?? [];
  }

  /** The rows asked for, in their order; one without samples is there and empty. */
  rows(specs: readonly RowSpec[]): Row[] {
    return specs.map(({ name, unit }) => {
      const failures = this.#failures.get(name) ?? [];
      const notes = [...this.#notes.get(name) ?? [], ...failures.slice(0, 1)];
      return {
        name,
        unit,
        ...spread(this.values(name)),
        failed: failures.length,
        note: notes.length === 0 ? null : notes.join("; "),
      };
    });
  }
}

function append<T>(lists: Map<string, T[]>, name: string, item: T): void {
  const list = lists.get(name);
  if (list) list.push(item);
  else lists.set(name, [item]);
}
