import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { BootSpec, RestoreSpec } from "../vmm/driver.ts";
import {
  bootArgs,
  dropArgs,
  type HostFacts,
  kernelLine,
  parseQemuVersion,
  qmpArgument,
  restoreArgs,
  runDirOf,
  translationBufferMb,
} from "./qemu_args.ts";
import { planSlot } from "./slot_plan.ts";

const tcg: HostFacts = {
  version: { major: 7, minor: 2, micro: 22 },
  accelerator: "tcg",
  tscKhz: 2_600_000,
};
const kvm: HostFacts = { ...tcg, accelerator: "kvm" };
const spec: BootSpec = {
  vmId: "0123456789abcdef",
  vcpus: 2,
  memoryMb: 512,
  disk: {
    path: "/data/sandboxes/sb-00000001/disk, one.qcow2",
    format: "qcow2",
    sizeMb: 1024,
    folder: "/data/sandboxes/sb-00000001",
    layers: ["base.ext4", "disk, one.qcow2"],
  },
  slot: planSlot(7),
  kernel: "/data/kernels/vmlinux",
  initrd: "/data/kernels/initrd.img",
  initArgs: ["wrenn.hostname=sb-00000001"],
  runDir: "/run/wrenn/0123456789abcdef",
  uid: 300007,
  memoryFile: "/data/sandboxes/sb-00000001/memory-a.base",
};
const back: RestoreSpec = {
  ...spec,
  memoryBase: "/data/sandboxes/sb-00000001/memory-a.base",
  state: "/data/snapshots/snap-0123456789abcdef/state",
};

function value(args: readonly string[], flag: string): string | undefined {
  return args[args.indexOf(flag) + 1];
}

Deno.test("parseQemuVersion() reads a distribution's version line", () => {
  const text = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright";
  assertEquals(parseQemuVersion(text), { major: 7, minor: 2, micro: 22 });
  assertThrows(() => parseQemuVersion("bash: not found"), Error, "Cannot find a QEMU version");
});

Deno.test("bootArgs() emulates a CPU with the host's counter under TCG", () => {
  const args = bootArgs(tcg, spec);
  assertEquals(value(args, "-cpu"), "Nehalem,-spec-ctrl,+arat");
  assert(value(args, "-append")?.includes("tsc_early_khz=2600000 lpj=10400000"));
  assert(value(args, "-append")?.endsWith(" wrenn.hostname=sb-00000001"));
});

Deno.test("bootArgs() gives the host's CPU and no emulation parameters under KVM", () => {
  const args = bootArgs(kvm, spec);
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

Deno.test("bootArgs() keeps a disk path with commas and spaces whole", () => {
  const block = JSON.parse(value(bootArgs(tcg, spec), "-blockdev") ?? "");
  assertEquals(block.file.filename, spec.disk.path);
  assertEquals(block.driver, "qcow2");
});

Deno.test("bootArgs() jails the process in the way its version knows", () => {
  const args = bootArgs(tcg, spec);
  assertEquals(value(args, "-runas"), "300007:300007");
  assertEquals(value(args, "-chroot"), spec.disk.folder);
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

Deno.test("bootArgs() refuses what cannot stand in a command line", () => {
  const bad: Partial<BootSpec>[] = [
    { runDir: "/run/a,server=off" },
    { runDir: "relative" },
    { runDir: `/${"x".repeat(110)}` },
    { vmId: "" },
    { vmId: "a,process=x" },
    { memoryFile: "/data/a,share=on" },
    { disk: { ...spec.disk, folder: "/data/a,b" } },
    { vcpus: 0 },
    { vcpus: 1.5 },
    { memoryMb: 1 },
    { uid: 0 },
    { uid: -1 },
    { slot: { ...spec.slot, tap: "tap0,fd=3" } },
    { slot: { ...spec.slot, guestMac: "02:FC:00:00:00:05,x" } },
  ];
  for (const change of bad) {
    assertThrows(() => bootArgs(tcg, { ...spec, ...change }), Error);
  }
});

Deno.test("runDirOf() finds the run folder that qmpArgument() wrote, and nothing else", () => {
  fc.assert(fc.property(fc.stringMatching(/^(\/[\w.-]{1,12}){1,4}$/), (dir) => {
    assertEquals(runDirOf(["qemu", "-chardev", qmpArgument(dir), "-S"]), dir);
  }));
  assertEquals(runDirOf(["qemu", "-chardev", "socket,id=qmp,path=/x/other,server=on"]), undefined);
  assertEquals(runDirOf([]), undefined);
});

Deno.test("bootArgs() puts the memory into its file, restoreArgs() maps it privately", () => {
  const memory = (args: readonly string[]) => value(args, "-object");
  assertEquals(
    memory(bootArgs(tcg, spec)),
    "memory-backend-file,mem-path=/data/sandboxes/sb-00000001/memory-a.base,share=on," +
      "id=ram,size=512M,merge=off,dump=off",
  );
  assert(memory(restoreArgs(tcg, back))?.includes(",share=off,"));
});

Deno.test("restoreArgs() waits for the state and stands still, with the devices of a boot", () => {
  const [boot, restore] = [bootArgs(tcg, spec), restoreArgs(tcg, back)];
  assert(restore.includes("-S"));
  assertEquals(value(restore, "-incoming"), "defer");
  for (const flag of ["-kernel", "-initrd", "-append"]) assert(!restore.includes(flag), flag);
  const devices = (args: readonly string[]) => args.filter((_, i) => args[i - 1] === "-device");
  assertEquals(devices(restore), devices(boot));
  assertThrows(() => restoreArgs(tcg, { ...back, memoryBase: "/a,b" }), Error);
});

Deno.test("translationBufferMb() grows with the guest; a restored one has no boot to translate", () => {
  const sizes = [128, 512, 1024, 1100, 4096, 65536];
  assertEquals(sizes.map((mb) => translationBufferMb(mb, "boot")), [192, 192, 256, 320, 512, 512]);
  const restored = sizes.map((mb) => translationBufferMb(mb, "restore"));
  assertEquals(restored, [128, 128, 256, 320, 512, 512]);
});
