import { assertEquals, assertStringIncludes } from "@std/assert";
import type { HostFacts } from "../../../core/qemu_args.ts";
import { engineArgs, engineKernelLine, type HostMachine } from "./qemu_engine_args.ts";

const kvm: HostFacts = {
  version: { major: 7, minor: 2, micro: 22 },
  accelerator: "kvm",
  tscKhz: 2_000_000,
};
const more = { path_on_host: "/m", is_read_only: true, is_root_device: false, block: true };
const machine: HostMachine = {
  machine: { vcpu_count: 2, mem_size_mib: 256 },
  drives: [
    { ...more, drive_id: "more" },
    { ...more, drive_id: "root", path_on_host: "/r", is_root_device: true, is_read_only: false },
  ],
  interfaces: [{ iface_id: "eth0", host_dev_name: "tap0", guest_mac: "02:FC:00:00:00:05" }],
  entropy: true,
};

Deno.test("engineKernelLine() adds what Firecracker adds, and leaves the first process its words", () => {
  const boot = { kernel_image_path: "/k", boot_args: "console=ttyS0 -- single" };
  assertEquals(
    engineKernelLine(boot, machine.drives, kvm),
    "console=ttyS0 pci=off root=/dev/vda rw -- single",
  );
  const emulated = engineKernelLine(boot, [], { ...kvm, accelerator: "tcg" });
  assertStringIncludes(emulated, "console=ttyS0 pci=off tsc_early_khz=2000000");
  assertEquals(emulated.endsWith(" -- single"), true);
  assertStringIncludes(engineKernelLine({ kernel_image_path: "/k" }, [], kvm), "reboot=k panic=1");
});

Deno.test("engineArgs() puts the root drive first and the devices in order", () => {
  const args = engineArgs(kvm, machine, "name", "boot");
  const devices = args.filter((_, n) => args[n - 1] === "-device");
  assertEquals(devices, [
    "i8042",
    "virtio-blk-device,drive=root,bus=virtio-mmio-bus.23",
    "virtio-blk-device,drive=more,bus=virtio-mmio-bus.22",
    "virtio-net-device,netdev=eth0,mac=02:FC:00:00:00:05,bus=virtio-mmio-bus.21",
    "virtio-rng-device,bus=virtio-mmio-bus.20",
  ]);
  const drives = args.filter((_, n) => args[n - 1] === "-blockdev").map((text) => JSON.parse(text));
  assertEquals(drives.map((drive) => [drive["node-name"], drive.file.driver, drive["read-only"]]), [
    ["root", "host_device", false],
    ["more", "host_device", true],
  ]);
  assertEquals(args.includes("-incoming"), false);
  assertEquals(engineArgs(kvm, machine, "name", "restore").includes("-incoming"), true);
});
