/** The table that people read. */
import type { Row } from "./stats.ts";

/** Megabytes of the transfers, for rows `file_*_100mb`. */
const TRANSFER_MB = 100;
/** Rows whose median is set against the peers' medians: a command from nothing to its end. */
const COMPARED = ["create_to_python"];

/** Lines of a table: medians and tails, speed where bytes moved, and ratios to the peers of the same run. */
export function formatTable(rows: readonly Row[]): string {
  const peers = rows.filter(({ name }) => name.startsWith("peer_"));
  const lines = [["", "n", "p50 ms", "p95 ms", "p99 ms", ""]];
  for (const row of rows) {
    const figures = [row.p50, row.p95, row.p99].map((value) => value.toFixed(1));
    lines.push([row.name, String(row.n), ...figures, remark(row, peers)]);
  }
  const widths = [0, 1, 2, 3, 4].map((i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  return lines.map((line) =>
    line.map((cell, i) => i === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[i] ?? 0))
      .join("  ").trimEnd()
  ).join("\n");
}

function remark(row: Row, peers: readonly Row[]): string {
  if (row.name.startsWith("file_")) return `${(TRANSFER_MB / (row.p50 / 1000)).toFixed(0)} MB/s`;
  if (!COMPARED.includes(row.name)) return "";
  return peers.map((peer) => {
    const name = peer.name.replace(/^peer_|_python$/g, "");
    return `${(row.p50 / peer.p50).toFixed(1)} x ${name}`;
  }).join(", ");
}
