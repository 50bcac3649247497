/** What `deno task bench --lab` measures, and how people read it. */
import { z } from "zod";

/** What is measured under each accelerator, in this order. */
export const LAB_ROWS = [
  "boot",
  "restore",
  "claim",
  "pause",
  "resume",
  "hibernate",
  "wake",
  "fork",
] as const;
/** One of them. */
export type LabRow = typeof LAB_ROWS[number];

/** Figures of one accelerator, milliseconds. */
export interface LabFigures {
  /** A bare QEMU with the same kernel, until a program of its initramfs has spoken. */
  readonly bare: number;
  /** Each run of each row. */
  readonly rows: Readonly<Record<LabRow, readonly number[]>>;
}

/** Figures by accelerator. */
export interface LabResult {
  readonly kvm: LabFigures;
  readonly tcg: LabFigures;
}

const ms = z.number().nonnegative();
const figures = z.object({ bare: ms, rows: z.record(z.enum(LAB_ROWS), z.array(ms)) });
const result = z.object({ kvm: figures, tcg: figures });

/**
 * Reads what the lab left.
 *
 * @throws {Error} When it has another shape.
 */
export function parseLabResult(json: string): LabResult {
  return result.parse(JSON.parse(json));
}

/** The middle of some figures; undefined of none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}

/** One line per row: seconds (median) and the ratio to the bare boot, for each accelerator. */
export function labTable(result: LabResult): string[][] {
  const { kvm, tcg } = result;
  const cells = (figures: LabFigures, row: LabRow): string[] => {
    const value = median(figures.rows[row]);
    if (value === undefined) return ["-", "-"];
    return [(value / 1000).toFixed(2), (value / figures.bare).toFixed(2)];
  };
  return [
    ["", "kvm s", "to bare", "tcg s", "to bare"],
    ["bare boot", ...[kvm, tcg].flatMap(({ bare }) => [(bare / 1000).toFixed(2), "1.00"])],
    ...LAB_ROWS.map((row) => [row, ...cells(kvm, row), ...cells(tcg, row)]),
  ];
}
