/** The tables that people read. */
import type { Breakdown } from "./breakdown.ts";
import type { Comparison } from "./compare.ts";
import type { Density } from "./density.ts";
import type { ModeResult } from "./modes.ts";
import type { Sustained } from "./phases/sustained.ts";
import type { JudgedRow } from "./verdict.ts";

/** Megabytes of the transfers, for rows `file_*_100mb`. */
const TRANSFER_MB = 100;
/** Rows whose median is set against the peers' medians: a command from nothing to its end. */
const COMPARED = ["create_to_python"];
/** What stands where nothing was measured. */
const ABSENT = "-";

/** Rows with their targets, speeds where bytes moved, and ratios to the peers of the same run. */
export function formatRows(rows: readonly JudgedRow[]): string {
  const peers = rows.filter(({ name }) => name.startsWith("peer_") && name.endsWith("_python"));
  const head = ["", "n", "p50", "p95", "p99", "min", "max", "trim", "", "target", "", ""];
  return align([
    head,
    ...rows.map((row) => [
      row.name,
      String(row.n),
      ...[row.p50, row.p95, row.p99, row.min, row.max, row.trimmed_mean].map(figure),
      row.unit,
      target(row),
      verdict(row),
      remark(row, peers),
    ]),
  ]);
}

/** The modes and the rate without waiting. */
export function formatModes(
  modes: readonly ModeResult[],
  sustained: readonly Sustained[],
): string {
  const lines = modes.map((mode) => [
    `create_to_echo, ${mode.mode}`,
    String(mode.n),
    ...[mode.p50, mode.p95, mode.p99, mode.min, mode.max].map(figure),
    `${(mode.success_rate * 100).toFixed(0)} %`,
    figure(mode.wall_ms),
    String(mode.pool),
    mode.note ?? "",
  ]);
  const rates = sustained.map((rate) =>
    `without waiting: ${rate.per_second} sandboxes/s, p50 ${figure(rate.p50)} ms, ` +
    `${rate.hits ?? "?"} of ${rate.n + rate.failed} were warm, ${rate.failed} failed` +
    (rate.note === null ? "" : ` (${rate.note})`)
  );
  const head = ["", "n", "p50", "p95", "p99", "min", "max", "success", "wall", "pool", ""];
  return [align([head, ...lines]), ...rates].join("\n");
}

/** Where the time of each call goes, median by step. */
export function formatPaths(paths: readonly Breakdown[]): string {
  return paths.map(({ call, n, total_p50: total, steps, largest }) => {
    const parts = steps.map(({ name, p50 }) => `${name} ${p50 === null ? "absent" : figure(p50)}`);
    const most = largest === null
      ? "the answers name no step"
      : `most: ${largest.name} ${figure(largest.p50)} ms, ${(largest.share * 100).toFixed(0)} %`;
    return `${call} (n ${n}): ${figure(total)} ms = ${parts.join(", ")}; ${most}`;
  }).join("\n");
}

/** Two commits, row by row. */
export function formatComparison({ rows, other_commit: other }: Comparison): string {
  const head = ["", "n", "p50", other, "", "ratio", "from", "to", ""];
  return align([
    head,
    ...rows.map((row) => [
      row.name,
      `${row.n}/${row.other_n}`,
      figure(row.p50),
      figure(row.other_p50),
      row.unit,
      ...[row.ratio, row.ratio_min, row.ratio_max].map((r) => r === null ? ABSENT : r.toFixed(3)),
      [row.differs === null ? "" : row.differs ? "differs" : "no difference", row.note ?? ""]
        .filter((part) => part !== "").join("; "),
    ]),
  ]);
}

/** The density run in a sentence or two. */
export function formatDensity(density: Density): string {
  return `${density.sandboxes} sandboxes: ${density.running} running, ${density.paused} paused, ` +
    `${density.hibernated} hibernated. ${density.pss_mb} MB of ${density.limit_mb}: ` +
    `${density.vmms} VMMs ${density.vmm_pss_mb}, agent ${density.agent_pss_mb}. ` +
    `${density.answered} answered afterwards: ${density.met ? "met" : "missed"}` +
    (density.note === null ? "" : ` (${density.note})`);
}

/** Lines of cells as a table. */
export function align(lines: readonly (readonly string[])[]): string {
  const columns = Math.max(...lines.map((line) => line.length));
  const widths = Array.from(
    { length: columns },
    (_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)),
  );
  return lines.map((line) =>
    line.map((cell, i) => {
      const width = widths[i] ?? 0;
      // Names and remarks to the left, figures to the right.
      return i === 0 || i === columns - 1 ? cell.padEnd(width) : cell.padStart(width);
    }).join("  ").trimEnd()
  ).join("\n");
}

function figure(value: number | null): string {
  return value === null ? ABSENT : value.toFixed(value < 10 ? 2 : 1);
}

function target({ target }: JudgedRow): string {
  if (target === null) return "";
  return [target.p50, target.p95].filter((value) => value !== undefined).join(" / ");
}

function verdict({ met, n, why }: JudgedRow): string {
  if (met === null) return why === null || n === 0 ? "" : "unproven";
  return met ? "met" : "MISSED";
}

function remark(row: JudgedRow, peers: readonly JudgedRow[]): string {
  const parts: string[] = [];
  const { name, p50 } = row;
  if (name.startsWith("file_") && p50) {
    parts.push(`${(TRANSFER_MB / (p50 / 1000)).toFixed(0)} MB/s`);
  }
  if (COMPARED.includes(name) && p50 !== null) {
    parts.push(
      ...peers.flatMap((peer) =>
        peer.p50 === null
          ? []
          : [`${(p50 / peer.p50).toFixed(2)} x ${peer.name.replace(/^peer_|_python$/g, "")}`]
      ),
    );
  }
  if (row.why !== null) parts.push(row.why);
  if (row.note !== null) parts.push(row.note);
  return parts.join("; ");
}
