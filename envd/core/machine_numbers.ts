/** Figures of procfs: processor time and memory (proc_stat(5), proc_meminfo(5)). */

/** Processor time of all processors since boot, in ticks. */
export interface CpuTimes {
  /** Everything but idle and waiting for disks. */
  busy: number;
  /** All of it. */
  total: number;
  /** Number of processors. */
  count: number;
}

/** Times from `/proc/stat`. */
export function parseCpuTimes(text: string): CpuTimes {
  const lines = text.split("\n");
  // user nice system idle iowait irq softirq steal; guest time is part of user already.
  const ticks = (lines.find((line) => line.startsWith("cpu ")) ?? "").trim().split(/\s+/)
    .slice(1, 9).map(Number);
  const total = ticks.reduce((sum, value) => sum + value, 0);
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  const count = lines.filter((line) => /^cpu\d/.test(line)).length;
  return { busy: total - idle, total, count: Math.max(count, 1) };
}

/** Share of processor time in use between two readings, in percent with two digits. */
export function cpuUsedPercent(before: CpuTimes, after: CpuTimes): number {
  const total = after.total - before.total;
  if (total <= 0) return 0;
  const share = Math.max(0, Math.min(1, (after.busy - before.busy) / total));
  return Math.round(share * 10_000) / 100;
}

/** Memory in bytes. */
export interface MemoryNumbers {
  /** All of it. */
  total: number;
  /** Neither free nor easily freed. */
  used: number;
  /** Page cache. */
  cache: number;
}

/** Memory from `/proc/meminfo`. */
export function parseMemory(text: string): MemoryNumbers {
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
  const total = bytes("MemTotal");
  return { total, used: Math.max(0, total - bytes("MemAvailable")), cache: bytes("Cached") };
}
