import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { BootSpec } from "../vmm/driver.ts";
import {
  dropArgs,
  type HostFacts,
  kernelLine,
  parseQemuVersion,
  qemuArgs,
  qmpArgument,
  runDirOf,
  translationBufferMb,
} from "./qemu_args.ts";

const tcg: HostFacts = {
  version: { major: 7, minor: 2, micro: 22 },
  accelerator: "tcg",
  tscKhz: 2_600_000,
};
const kvm: HostFacts = { ...tcg, accelerator: "kvm" };
const spec: BootSpec = {
  vmId: "0123456789abcdef",
  sandboxId: "sb-00000001",
  vcpus: 2,
  memoryMb: 512,
  disk: { path: "/data/sandboxes/sb-00000001/disk, one.qcow2", format: "qcow2", sizeMb: 1024 },
  slot: {
    index: 7,
    namespace: "ns-7",
    hostVeth: "veth-7",
    tap: "tap0",
    hostIp: "10.11.0.7",
    vethHostIp: "10.12.0.14",
    vethGuestIp: "10.12.0.15",
    guestIp: "169.254.0.21",
    gatewayIp: "169.254.0.22",
    guestMac: "02:FC:00:00:00:05",
  },
  kernel: "/data/kernels/vmlinux",
  initrd: "/data/kernels/initrd.img",
  initArgs: ["wrenn.hostname=sb-00000001"],
  runDir: "/run/wrenn/sb-00000001",
  uid: 300007,
};

function value(args: readonly string[], flag: string): string | undefined {
  return args[args.indexOf(flag) + 1];
}

Deno.test("parseQemuVersion() reads a distribution's version line", () => {
  const text = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright";
  assertEquals(parseQemuVersion(text), { major: 7, minor: 2, micro: 22 });
  assertThrows(() => parseQemuVersion("bash: not found"), Error, "Cannot find a QEMU version");
});

Deno.test("qemuArgs() emulates a CPU with the host's counter under TCG", () => {
  const args = qemuArgs(tcg, spec);
  assertEquals(value(args, "-cpu"), "Nehalem,-spec-ctrl,+arat");
  assert(value(args, "-append")?.includes("tsc_early_khz=2600000 lpj=10400000"));
  assert(value(args, "-append")?.endsWith(" wrenn.hostname=sb-00000001"));
});

Deno.test("qemuArgs() gives the host's CPU and no emulation parameters under KVM", () => {
  const args = qemuArgs(kvm, spec);
  assertEquals(value(args, "-cpu"), "host");
  assertEquals(value(args, "-accel"), "kvm");
  for (const word of ["tsc", "lpj", "norandmaps", "nokaslr", "mitigations"]) {
    assert(!value(args, "-append")?.includes(word), word);
  }
});

Deno.test("kernelLine() switches address randomisation off only for TCG before QEMU 8", () => {
  const eight: HostFacts = { ...tcg, version: { major: 8, minor: 0, micro: 0 } };
  assert(kernelLine(tcg, []).includes("norandmaps nokaslr"));
  assert(!kernelLine(eight, []).includes("norandmaps"));
});

Deno.test("kernelLine() refuses words that would become two", () => {
  for (const word of ["a b", "a\nb", "", "ä", "a\tinit=/bin/sh"]) {
    assertThrows(() => kernelLine(tcg, [word]), Error, "Not a kernel parameter");
  }
});

Deno.test("qemuArgs() keeps a disk path with commas and spaces whole", () => {
  const block = JSON.parse(value(qemuArgs(tcg, spec), "-blockdev") ?? "");
  assertEquals(block.file.filename, spec.disk.path);
  assertEquals(block.driver, "qcow2");
});

Deno.test("qemuArgs() jails the process in the way its version knows", () => {
  const args = qemuArgs(tcg, spec);
  assertEquals(value(args, "-runas"), "300007:300007");
  assertEquals(value(args, "-chroot"), "/run/wrenn/sb-00000001/jail");
  assert(value(args, "-sandbox")?.includes("spawn=deny"));
  assertEquals(dropArgs({ major: 8, minor: 2, micro: 0 }, "/j", 5), [
    "-run-with",
    "chroot=/j",
    "-runas",
    "5:5",
  ]);
  assertEquals(dropArgs({ major: 10, minor: 0, micro: 2 }, "/j", 5), [
    "-run-with",
    "chroot=/j,user=5:5",
  ]);
});

Deno.test("qemuArgs() refuses what cannot stand in a command line", () => {
  const bad: Partial<BootSpec>[] = [
    { runDir: "/run/a,server=off" },
    { runDir: "relative" },
    { runDir: `/${"x".repeat(110)}` },
    { sandboxId: "sb,process=x" },
    { vmId: "" },
    { vcpus: 0 },
    { vcpus: 1.5 },
    { memoryMb: 1 },
    { uid: 0 },
    { uid: -1 },
    { slot: { ...spec.slot, tap: "tap0,fd=3" } },
    { slot: { ...spec.slot, guestMac: "02:FC:00:00:00:05,x" } },
  ];
  for (const change of bad) {
    assertThrows(() => qemuArgs(tcg, { ...spec, ...change }), Error);
  }
});

Deno.test("runDirOf() finds the run folder that qmpArgument() wrote, and nothing else", () => {
  fc.assert(fc.property(fc.stringMatching(/^(\/[\w.-]{1,12}){1,4}$/), (dir) => {
    assertEquals(runDirOf(["qemu", "-chardev", qmpArgument(dir), "-S"]), dir);
  }));
  assertEquals(runDirOf(["qemu", "-chardev", "socket,id=qmp,path=/x/other,server=on"]), undefined);
  assertEquals(runDirOf([]), undefined);
});

Deno.test("translationBufferMb() grows with the guest between 192 and 512 MiB", () => {
  const sizes = [128, 512, 1024, 1100, 4096, 65536].map(translationBufferMb);
  assertEquals(sizes, [192, 192, 256, 320, 512, 512]);
});
