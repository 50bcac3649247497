/** The command line of the QEMU that runs a guest behind the stand-in: the devices of Firecracker's machine. */
import {
  type Accelerator,
  emulationWords,
  type HostFacts,
  machineArgs,
} from "../../../core/qemu_args.ts";
import type { BootSource, Drive, NetworkInterface } from "../api_types.ts";
import type { EngineMachine } from "./stand_in_engine.ts";

/** Descriptor at which a machine that continues finds the state of its devices. */
export const STATE_FD = 9;

/** Number of the last of the places that a `microvm` has for devices. */
const LAST_BUS = 23;

/** Firecracker's command line where a boot source has none. */
const DEFAULT_LINE = "reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux " +
  "i8042.dumbkbd swiotlb=noforce";

/**
 * The guest's kernel command line: what the boot source says, what Firecracker adds, and what emulation needs. Words
 * for the first process stay at the end.
 */
export function engineKernelLine(
  boot: BootSource,
  drives: readonly Drive[],
  facts: HostFacts,
): string {
  const [kernel = "", ...init] = (boot.boot_args ?? DEFAULT_LINE).split(" -- ");
  const root = drives.find((drive) => drive.is_root_device);
  const words = [
    kernel,
    "pci=off",
    ...(root ? ["root=/dev/vda", root.is_read_only ? "ro" : "rw"] : []),
    ...(facts.accelerator === "tcg" ? emulationWords(facts) : []),
  ];
  return [words.join(" "), ...init].join(" -- ");
}

/**
 * Arguments of a machine whose memory is QEMU's own, and of the devices that Firecracker has.
 *
 * @param controlSocket Abstract name of the control socket.
 */
export function engineArgs(
  facts: HostFacts,
  machine: HostMachine,
  controlSocket: string,
  start: "boot" | "restore",
): string[] {
  const { vcpu_count: vcpus, mem_size_mib: memoryMb } = machine.machine;
  const drives = machine.drives.toSorted((a, b) =>
    Number(b.is_root_device) - Number(a.is_root_device)
  );
  const devices = [
    ...drives.map((drive) => `virtio-blk-device,drive=${drive.drive_id}`),
    ...machine.interfaces.map(({ iface_id, guest_mac }) =>
      `virtio-net-device,netdev=${iface_id}${guest_mac === undefined ? "" : `,mac=${guest_mac}`}`
    ),
    ...(machine.entropy ? ["virtio-rng-device"] : []),
  ];
  return [
    machineArgs(facts, { vcpus, memoryMb }, { kind: "anonymous" }, start),
    // Firecracker's process ends with its guest.
    ["-action", "reboot=shutdown,shutdown=poweroff"],
    // The keyboard's controller, by which a guest of Firecracker resets itself.
    ["-device", "i8042"],
    ["-serial", "stdio"],
    ["-chardev", `socket,id=qmp,path=${controlSocket},abstract=on,server=on,wait=off`],
    ["-mon", "chardev=qmp,mode=control"],
    drives.flatMap(driveArgs),
    machine.interfaces.flatMap(interfaceArgs),
    // The guest finds the last place first.
    devices.flatMap((device, n) => ["-device", `${device},bus=virtio-mmio-bus.${LAST_BUS - n}`]),
    start === "boot" ? [] : [
      ...["-S", "-incoming", "defer"],
      // The state has devices alone, without the section that describes the machine.
      ...["-global", "migration.send-configuration=off"],
    ],
  ].flat();
}

function driveArgs(drive: HostDrive): string[] {
  const { drive_id, path_on_host, is_read_only, cache_type, block } = drive;
  return [
    "-blockdev",
    JSON.stringify({
      driver: "raw",
      "node-name": drive_id,
      "read-only": is_read_only,
      // Without one Firecracker has no flushes for its guest.
      cache: { "no-flush": cache_type !== "Writeback" },
      file: {
        driver: block ? "host_device" : "file",
        filename: path_on_host,
        aio: "threads",
        locking: "off",
      },
    }),
  ];
}

function interfaceArgs({ iface_id, host_dev_name }: NetworkInterface): string[] {
  return [
    "-netdev",
    `tap,id=${iface_id},ifname=${host_dev_name},script=no,downscript=no`,
  ];
}

/** A drive by its place on the host. */
export interface HostDrive extends Drive {
  /** Whether that is a block device. */
  readonly block: boolean;
}

/** A machine by its places on the host. */
export interface HostMachine extends EngineMachine {
  readonly drives: readonly HostDrive[];
}

/** `qemu 7.2.22 tcg`. */
export function engineName({ version, accelerator }: {
  readonly version: HostFacts["version"];
  readonly accelerator: Accelerator;
}): string {
  return `qemu ${version.major}.${version.minor}.${version.micro} ${accelerator}`;
}
