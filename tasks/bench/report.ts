/** The result: as JSON, and as what is printed. */
import type { Breakdown } from "./breakdown.ts";
import type { Comparison } from "./compare.ts";
import type { Conditions } from "./conditions.ts";
import type { Density } from "./density.ts";
import { type LabResult, labTable } from "./lab/lab_result.ts";
import type { Measured } from "./measure.ts";
import type { ModeResult } from "./modes.ts";
import type { Sustained } from "./phases/sustained.ts";
import { ALL_ROWS, PEER_ROWS, ROWS, type RowSpec, TRANSFER_ROWS } from "./rows.ts";
import {
  align,
  formatComparison,
  formatDensity,
  formatModes,
  formatPaths,
  formatRows,
} from "./table.ts";
import { judge, type JudgedRow } from "./verdict.ts";

/** Everything that one run has to say; a part that was not asked for is not there. */
export interface Report {
  readonly conditions: Conditions;
  /** Rows in the order of `rows.ts`, then the peers. */
  readonly rows?: readonly JudgedRow[];
  readonly transfers?: readonly JudgedRow[];
  readonly modes?: readonly ModeResult[];
  readonly sustained?: readonly Sustained[];
  readonly paths?: readonly Breakdown[];
  readonly comparison?: Comparison;
  readonly density?: Density;
  readonly lab?: LabResult;
}

/** The report of a measurement. @param only Rows that were asked for; all when empty. */
export function measuredReport(
  conditions: Conditions,
  { record, modes, sustained, paths }: Measured,
  only: readonly string[],
): Report {
  const load = conditions.load_before[0] ?? 0;
  const judged = judge(record.rows(ALL_ROWS), ALL_ROWS, load);
  const pick = (specs: readonly RowSpec[]): JudgedRow[] =>
    judged.filter(({ name }) =>
      specs.some((spec) => spec.name === name) && (only.length === 0 || only.includes(name))
    );
  return {
    conditions,
    rows: pick([...ROWS, ...PEER_ROWS]),
    transfers: pick(TRANSFER_ROWS),
    modes,
    sustained,
    paths: paths.breakdowns(),
  };
}

/** The report as people read it. */
export function formatReport(report: Report): string {
  const { conditions, rows = [], transfers = [], modes = [], sustained = [], paths = [] } = report;
  const parts: string[] = [];
  if (rows.length + transfers.length > 0) parts.push(formatRows([...rows, ...transfers]));
  if (modes.length + sustained.length > 0) parts.push(formatModes(modes, sustained));
  if (paths.length > 0) parts.push(formatPaths(paths));
  if (report.comparison) parts.push(formatComparison(report.comparison));
  if (report.density) parts.push(formatDensity(report.density));
  if (report.lab) parts.push(align(labTable(report.lab)));
  parts.push(formatConditions(conditions));
  return parts.join("\n\n");
}

function formatConditions(conditions: Conditions): string {
  const lines = Object.entries(conditions).map(([name, value]) =>
    `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`
  );
  if (!conditions.quiet) {
    const load = (conditions.load_before[0] ?? 0).toFixed(2);
    lines.push(`The machine was busy before the start (load ${load}): no figure counts as met.`);
  }
  return lines.join("\n");
}
