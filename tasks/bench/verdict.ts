/** Whether a row has reached its target. */
import type { Row } from "./recorder.ts";
import type { RowSpec } from "./rows.ts";

/** A row with what was asked of it. */
export interface JudgedRow extends Row {
  /** What the row was to reach; null when nothing was asked, or when it depends on a row that is not there. */
  readonly target: { readonly p50?: number; readonly p95?: number } | null;
  /** Null: nothing was asked, or this run cannot tell. */
  readonly met: boolean | null;
  /** Why this run cannot tell, or what else than the time made it miss. */
  readonly why: string | null;
}

/** The load average over a minute, before the start, above which no figure counts as met. */
export const MOST_LOAD = 1;

/**
 * Judges rows. A run that started on a busy machine may show that a target is missed, never that it is met.
 *
 * @param rows All rows of the run, peers among them. @param specs What is asked of each.
 * @param load Load average over a minute before the start.
 */
export function judge(
  rows: readonly Row[],
  specs: readonly RowSpec[],
  load: number,
): JudgedRow[] {
  const median = (name: string): number | null =>
    rows.find((row) => row.name === name)?.p50 ?? null;
  return rows.map((row) => {
    const asked = specs.find(({ name }) => name === row.name)?.target;
    if (asked === undefined) return { ...row, target: null, met: null, why: null };
    const { p50Of, ...fixed } = asked;
    if (p50Of === undefined) return { ...row, target: fixed, ...verdict(row, fixed, load) };
    const other = median(p50Of.row);
    if (other === null) {
      return { ...row, target: null, met: null, why: `No '${p50Of.row}' in this run` };
    }
    const target = { ...fixed, p50: Math.round(p50Of.factor * other * 100) / 100 };
    return { ...row, target, ...verdict(row, target, load) };
  });
}

function verdict(
  row: Row,
  target: { readonly p50?: number; readonly p95?: number },
  load: number,
): { met: boolean | null; why: string | null } {
  if (row.failed > 0) return { met: false, why: `${row.failed} of ${row.n + row.failed} failed` };
  if (row.p50 === null || row.p95 === null) return { met: null, why: "Not measured" };
  const missed = row.p50 > (target.p50 ?? Infinity) || row.p95 > (target.p95 ?? Infinity);
  if (missed) return { met: false, why: null };
  if (load > MOST_LOAD) {
    return { met: null, why: `Load before the start was ${load.toFixed(2)}` };
  }
  return { met: true, why: null };
}
