/** `GET /metrics`: processor, memory and disk of the guest. */
import {
  type CpuTimes,
  cpuUsedPercent,
  parseCpuTimes,
  parseMemory,
} from "../core/machine_numbers.ts";
import { fileSystemInfo } from "../linux/statfs.ts";

const MIB = 1024 * 1024;

/** Measures; processor use is over the time since the measurement before. */
export class Metrics {
  #before: CpuTimes = { busy: 0, total: 0, count: 1 };

  /** The body of the answer; sizes in bytes unless they say MiB. */
  async read(nowMs: number): Promise<Record<string, number>> {
    const [stat, meminfo] = await Promise.all([
      Deno.readTextFile("/proc/stat"),
      Deno.readTextFile("/proc/meminfo"),
    ]);
    const cpu = parseCpuTimes(stat);
    const used = cpuUsedPercent(this.#before, cpu);
    this.#before = cpu;
    const memory = parseMemory(meminfo);
    const disk = fileSystemInfo("/");
    return {
      ts: Math.floor(nowMs / 1000),
      cpu_count: cpu.count,
      cpu_used_pct: used,
      mem_total: memory.total,
      mem_used: memory.used,
      mem_cache: memory.cache,
      mem_total_mib: Math.floor(memory.total / MIB),
      mem_used_mib: Math.floor(memory.used / MIB),
      disk_used: disk.usedBytes,
      disk_total: disk.totalBytes,
    };
  }
}
