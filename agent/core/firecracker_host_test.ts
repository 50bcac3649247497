import { assertEquals, assertThrows } from "@std/assert";
import {
  cpuModelOf,
  knowsClockRealtime,
  parseFirecrackerVersion,
  toldTscKhz,
  vmmName,
} from "./firecracker_host.ts";

const CPUINFO = `processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R)  CPU @ 2.60GHz
stepping\t: 7
`;

Deno.test("parseFirecrackerVersion() reads what Firecracker prints", () => {
  const version = parseFirecrackerVersion(
    "Firecracker v1.15.1\n\n2026-01-01T00:00:00 [anonymous-instance:main] exiting\n",
  );
  assertEquals(vmmName(version), "firecracker 1.15.1");
  assertEquals(knowsClockRealtime(version), true);
  assertEquals(knowsClockRealtime(parseFirecrackerVersion("Firecracker v1.14.2")), false);
});

Deno.test("parseFirecrackerVersion() refuses what it does not know", () => {
  for (const text of ["Firecracker v1.12.1", "Firecracker v0.25.0", "Firecracker v2.0.0"]) {
    assertThrows(() => parseFirecrackerVersion(text), Error, "is not supported");
  }
  for (const text of ["", "Jailer v1.15.1", "QEMU emulator version 7.2"]) {
    assertThrows(() => parseFirecrackerVersion(text), Error, "Cannot find");
  }
});

Deno.test("cpuModelOf() tells CPUs apart by vendor, numbers and name", () => {
  assertEquals(cpuModelOf(CPUINFO), "GenuineIntel 6/85/7 Intel(R) Xeon(R) CPU @ 2.60GHz");
  assertThrows(() => cpuModelOf(CPUINFO.replace("stepping", "step")), Error, "no 'stepping'");
});

Deno.test("toldTscKhz() finds the rate that the host's kernel was told", () => {
  assertEquals(toldTscKhz("console=ttyS0 tsc_early_khz=2600000 quiet\n"), 2_600_000);
  for (const line of ["quiet\n", "tsc_early_khz=\n", "xtsc_early_khz=1\n", "tsc_early_khz=1k\n"]) {
    assertEquals(toldTscKhz(line), undefined, line);
  }
});
