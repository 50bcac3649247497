import { assertEquals } from "@std/assert";
import { cpuUsedPercent, parseCpuTimes, parseMemory } from "./machine_numbers.ts";

const STAT = "cpu  100 10 50 800 40 0 0 0 20 0\ncpu0 50 5 25 400 20 0 0 0 10 0\n" +
  "cpu1 50 5 25 400 20 0 0 0 10 0\nintr 1\n";

Deno.test("parseCpuTimes() counts processors and leaves guest time out", () => {
  assertEquals(parseCpuTimes(STAT), { busy: 160, total: 1000, count: 2 });
});

Deno.test("cpuUsedPercent() is a share between two readings", () => {
  const before = { busy: 0, total: 0, count: 1 };
  assertEquals(cpuUsedPercent(before, { busy: 1, total: 3, count: 1 }), 33.33);
  assertEquals(cpuUsedPercent(before, before), 0);
  assertEquals(
    cpuUsedPercent({ busy: 5, total: 10, count: 1 }, { busy: 4, total: 12, count: 1 }),
    0,
  );
});

Deno.test("parseMemory() gives bytes", () => {
  const text = "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\nCached:  100 kB\n";
  assertEquals(parseMemory(text), { total: 1_024_000, used: 614_400, cache: 102_400 });
});
