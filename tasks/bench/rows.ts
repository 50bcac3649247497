/** The rows of the result: their names, their order, and what each is to reach. */
import type { Unit } from "./stats.ts";

/** Figures that a row must not exceed. */
export interface Target {
  readonly p50?: number;
  readonly p95?: number;
  /** The median is to stay below the median of another row of the same run, times a factor. */
  readonly p50Of?: { readonly row: string; readonly factor: number };
}

/** One row. */
export interface RowSpec {
  readonly name: string;
  readonly unit: Unit;
  readonly target?: Target;
}

/** Rows of the platform, in the order of the result. */
export const ROWS: readonly RowSpec[] = [
  { name: "create_warm", unit: "ms", target: { p50: 25, p95: 60 } },
  { name: "create_to_echo", unit: "ms", target: { p50: 50, p95: 100 } },
  {
    name: "create_to_python",
    unit: "ms",
    target: { p50Of: { row: "peer_runsc_python", factor: 0.85 } },
  },
  { name: "create_restore", unit: "ms", target: { p50: 300, p95: 450 } },
  { name: "burst20_wall", unit: "ms", target: { p50: 5000 } },
  { name: "burst20_pool_wall", unit: "ms", target: { p50: 1000 } },
  { name: "pause", unit: "ms", target: { p50: 40 } },
  { name: "resume", unit: "ms", target: { p50: 50 } },
  { name: "hibernate", unit: "ms", target: { p50: 300 } },
  { name: "wake", unit: "ms", target: { p50: 350 } },
  { name: "fork8", unit: "ms", target: { p50: 1500 } },
  { name: "exec_true", unit: "ms", target: { p50: 20 } },
  { name: "idle_private_mb", unit: "MB", target: { p50: 110 } },
  { name: "idle_cpu_pct", unit: "%", target: { p50: 0.5 } },
];

/** Transfers of files, reported beside the rows. */
export const TRANSFER_ROWS: readonly RowSpec[] = [
  { name: "file_up_100mb", unit: "ms" },
  { name: "file_down_100mb", unit: "ms" },
];

/** Other sandboxes on this machine. */
export const PEER_ROWS: readonly RowSpec[] = [
  { name: "peer_runsc_python", unit: "ms" },
  { name: "peer_runsc_true", unit: "ms" },
  { name: "peer_runsc_bare_python", unit: "ms" },
  { name: "peer_bwrap_python", unit: "ms" },
  { name: "peer_crun_python", unit: "ms" },
];

/** Every row there is. */
export const ALL_ROWS: readonly RowSpec[] = [...ROWS, ...TRANSFER_ROWS, ...PEER_ROWS];
