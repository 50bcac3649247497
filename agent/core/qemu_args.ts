/**
 * The command line of a QEMU `microvm`: a pure function of the machine asked for and of what the host is.
 * The choices and their figures are in `docs/decisions/003-qemu-microvm.md`.
 */
import type { BlockDevice } from "../rootfs/store.ts";
import type { BootSpec, MachineSpec, RestoreSpec, SpareSpec } from "../vmm/driver.ts";
import { checkedWords, GUEST_WORDS } from "./kernel_words.ts";

/** What runs the guest's instructions. */
export type Accelerator = "kvm" | "tcg";

/** QEMU's version, `7.2.22`. */
export interface QemuVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

/** What the command line depends on beside the machine. */
export interface HostFacts {
  readonly version: QemuVersion;
  readonly accelerator: Accelerator;
  /** Rate of the host's time stamp counter in kHz: under TCG the guest reads that very counter. */
  readonly tscKhz: number;
}

/** The machine without its devices: what an accelerator must be able to start. */
export interface MachineShape {
  readonly vcpus: number;
  /** Guest memory in MiB. */
  readonly memoryMb: number;
}

/** What a driver keeps in a run folder. */
export interface RunFiles {
  /** QEMU's control socket. */
  readonly qmp: string;
  /** What QEMU printed. */
  readonly log: string;
  /** The end of the guest's console, written when the VM ends by itself. */
  readonly console: string;
}

/** The CPU that a guest sees under each accelerator. */
export const CPU_MODELS: Readonly<Record<Accelerator, string>> = {
  tcg: "Nehalem,-spec-ctrl,+arat",
  kvm: "host",
};
/** Node name of a disk's first top layer. */
export const DISK_NODE = "disk";
/** Node name of what stands for a disk that is yet to come. */
export const NO_DISK_NODE = "no-disk";
/** The only disk among the devices, of which it is the first that is added. */
export const DISK_DEVICE = "/machine/peripheral-anon/device[0]";
/** File in the disk's folder, the process's root, that QEMU writes the device state to. */
export const STATE_FILE = "vm-state";
/** Descriptor of the device state that a restored machine reads. */
export const STATE_FD = 9;

/** Bytes of the guest's console that QEMU keeps in memory. A power of two. */
export const CONSOLE_BYTES = 65536;
/** Name of the console's character device. */
export const CONSOLE_DEVICE = "console";

const SANDBOX = "on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny";
const QMP_PREFIX = "socket,id=qmp,path=";
const QMP_SUFFIX = ",server=on,wait=off";
const PLAIN_PATH = /^\/[\w@%+:./-]+$/;
const PLAIN_NAME = /^[\w.-]+$/;
/** `sun_path` has 108 bytes with its final NUL. */
const MAX_SOCKET_PATH = 107;

/**
 * Reads the first line of `qemu-system-x86_64 --version`.
 *
 * @throws {Error} When the text has no version.
 */
export function parseQemuVersion(text: string): QemuVersion {
  const match = /version (\d+)\.(\d+)\.(\d+)/.exec(text);
  if (!match) throw new Error(`Cannot find a QEMU version in '${text.slice(0, 100)}'`);
  return { major: Number(match[1]), minor: Number(match[2]), micro: Number(match[3]) };
}

/** Files of a run folder. */
export function runFiles(runDir: string): RunFiles {
  return {
    qmp: `${runDir}/qmp.sock`,
    log: `${runDir}/qemu.log`,
    console: `${runDir}/console.log`,
  };
}

/** The argument that names the control socket. It marks a process as ours. */
export function qmpArgument(runDir: string): string {
  return `${QMP_PREFIX}${runFiles(runDir).qmp}${QMP_SUFFIX}`;
}

/** The run folder that a process was started for, from its arguments; undefined when it is not ours. */
export function runDirOf(argv: readonly string[]): string | undefined {
  for (const argument of argv) {
    if (!argument.startsWith(QMP_PREFIX) || !argument.endsWith(QMP_SUFFIX)) continue;
    const path = argument.slice(QMP_PREFIX.length, -QMP_SUFFIX.length);
    if (path.endsWith("/qmp.sock")) return path.slice(0, -"/qmp.sock".length);
  }
  return undefined;
}

/**
 * Size of the translation buffer in MiB. A full buffer is thrown away whole: too small a one makes a guest up
 * to twenty times slower. Booting to envd's first answer translates 152 MiB; a restored guest that runs shells and
 * Python 60 MiB.
 */
export function translationBufferMb(memoryMb: number, start: "boot" | "restore"): number {
  const least = start === "boot" ? 192 : 128;
  return Math.min(512, Math.max(least, 64 * Math.ceil(memoryMb / 256)));
}

/**
 * The guest's kernel command line.
 *
 * @throws {Error} When a word has a space or a control character.
 */
export function kernelLine(facts: HostFacts, initArgs: readonly string[]): string {
  const words = ["console=ttyS0", "quiet", "panic=-1", "reboot=t", ...GUEST_WORDS];
  if (facts.accelerator === "tcg") words.push(...emulationWords(facts));
  return [...words, ...checkedWords(initArgs)].join(" ");
}

/** What a guest's kernel must be told when its instructions are emulated. */
export function emulationWords({ tscKhz, version }: HostFacts): string[] {
  return [
    // Calibration against an emulated timer fails on a busy host, and the kernel stops.
    `tsc_early_khz=${tscKhz}`,
    // Loops per jiffy at 250 Hz.
    `lpj=${4 * tscKhz}`,
    "no_timer_check",
    "tsc=reliable",
    "mitigations=off",
    // An unrolled loop clears a page faster than an emulated `rep stosq`.
    "clearcpuid=112",
    "init_on_alloc=0",
    // Accounting by timers and at every switch and page, of a guest that has one tenant.
    ...["psi=0", "nowatchdog", "cgroup_disable=memory", "audit=0", "lsm=landlock,yama"],
    "wrenn.emulated=1",
    // Before QEMU 8 translated blocks are keyed by virtual address: each random layout is translated again.
    ...(version.major < 8 ? ["norandmaps", "nokaslr"] : []),
  ];
}

/** A block device as QEMU is told of it. */
export type DiskNode = Readonly<Record<string, unknown> & { "node-name": string }>;

/** Where a machine's memory lies. */
export type MemoryBacking =
  | { readonly kind: "anonymous" }
  /** `shared`: the machine writes to the file. Else it maps it privately. */
  | { readonly kind: "file"; readonly path: string; readonly shared: boolean };

/** Arguments of a machine without disk and network. */
export function machineArgs(
  facts: HostFacts,
  shape: MachineShape,
  memory: MemoryBacking = { kind: "anonymous" },
  start: "boot" | "restore" = "boot",
): string[] {
  const tcg = facts.accelerator === "tcg";
  const buffer = translationBufferMb(shape.memoryMb, start);
  return [
    ["-M", `microvm,acpi=on,pit=off,rtc=on,memory-backend=ram`],
    ["-accel", tcg ? `tcg,tb-size=${buffer}` : "kvm"],
    ["-cpu", CPU_MODELS[facts.accelerator]],
    ["-smp", String(shape.vcpus)],
    ["-m", `${shape.memoryMb}M`],
    // The object's name is part of the machine's shape, whatever its kind.
    ["-object", `${memoryObject(memory)},id=ram,size=${shape.memoryMb}M,merge=off,dump=off`],
    ["-nodefaults"],
    ["-no-user-config"],
    ["-display", "none"],
  ].flat();
}

function memoryObject(memory: MemoryBacking): string {
  if (memory.kind === "anonymous") return "memory-backend-ram";
  return `memory-backend-file,mem-path=${memory.path},share=${memory.shared ? "on" : "off"}`;
}

/** Root folder and identity that QEMU takes after it has opened its files. */
export function dropArgs(
  version: QemuVersion,
  jail: string,
  uid: number,
  gid: number = uid,
): string[] {
  const at = version.major * 100 + version.minor;
  if (at >= 901) return ["-run-with", `chroot=${jail},user=${uid}:${gid}`];
  if (at >= 801) return ["-run-with", `chroot=${jail}`, "-runas", `${uid}:${gid}`];
  return ["-chroot", jail, "-runas", `${uid}:${gid}`];
}

/** The system call filter that every QEMU of ours runs under. */
export function sandboxArgs(): string[] {
  return ["-sandbox", SANDBOX];
}

/**
 * All arguments of a machine that boots.
 *
 * @throws {Error} When something in the request cannot stand in a command line.
 */
export function bootArgs(facts: HostFacts, spec: BootSpec): string[] {
  check(spec, spec.memoryFile);
  const memory = { kind: "file", path: spec.memoryFile, shared: true } as const;
  return [
    machineArgs(facts, spec, memory, "boot"),
    ["-kernel", spec.kernel],
    ["-initrd", spec.initrd],
    ["-append", kernelLine(facts, spec.initArgs)],
    deviceArgs(facts, spec, layerNode(DISK_NODE, spec.disk, spec.disk.path)),
  ].flat();
}

/**
 * All arguments of a machine that is restored: it waits for its state and then stands still. Its kernel is in its
 * memory already.
 *
 * @throws {Error} When something in the request cannot stand in a command line.
 */
export function restoreArgs(facts: HostFacts, spec: RestoreSpec): string[] {
  check(spec, spec.memoryBase);
  const memory = { kind: "file", path: spec.memoryBase, shared: false } as const;
  return waitingArgs(facts, spec, memory, layerNode(DISK_NODE, spec.disk, spec.disk.path));
}

/** Of a process that waits for its state. */
function waitingArgs(
  facts: HostFacts,
  spec: MachineSpec,
  memory: MemoryBacking,
  disk: DiskNode,
  gid?: number,
): string[] {
  return [
    machineArgs(facts, spec, memory, "restore"),
    ["-S", "-incoming", "defer"],
    // The state has devices alone, without the section that describes the machine.
    ["-global", "migration.send-configuration=off"],
    deviceArgs(facts, spec, disk, gid),
  ].flat();
}

/**
 * All arguments of a process that waits for a machine to bring back: it has everything but the disk, in whose place
 * an empty one stands.
 *
 * @throws {Error} When something in the request cannot stand in a command line.
 */
export function spareArgs(facts: HostFacts, spec: SpareSpec): string[] {
  check(spec, spec.memoryBase);
  const memory = { kind: "file", path: spec.memoryBase, shared: false } as const;
  const size = spec.disk.sizeMb * 2 ** 20;
  const node = { driver: "null-co", "node-name": NO_DISK_NODE, size };
  return waitingArgs(facts, spec, memory, node, spec.gid);
}

/** A layer as QEMU opens it. */
export function layerNode(
  nodeName: string,
  disk: BlockDevice,
  filename: string,
): DiskNode {
  return {
    driver: disk.format,
    "node-name": nodeName,
    discard: "unmap",
    // A raw disk is a block device. One machine writes to a layer: the agent sees to it. QEMU's lock on a layer
    // outlives the switch to another one.
    file: {
      driver: disk.format === "raw" ? "host_device" : "file",
      ...{ filename, aio: "threads", discard: "unmap", locking: "off" },
    },
  };
}

function deviceArgs(
  facts: HostFacts,
  spec: MachineSpec,
  node: DiskNode,
  gid?: number,
): string[] {
  const { slot, disk } = spec;
  return [
    ["-name", `guest=${spec.vmId},debug-threads=on`],
    // The guest's end stops the machine, so that its console can be read before the process goes.
    ["-action", "reboot=shutdown,shutdown=pause"],
    // A guest can write to its console for ever: kept in memory, the oldest bytes give way.
    ["-chardev", `ringbuf,id=${CONSOLE_DEVICE},size=${CONSOLE_BYTES}`],
    ["-serial", `chardev:${CONSOLE_DEVICE}`],
    ["-chardev", qmpArgument(spec.runDir)],
    ["-mon", "chardev=qmp,mode=control"],
    ["-blockdev", JSON.stringify(node)],
    // A write for which the host has no room stops the vCPUs until there is some: as an error in the guest it would
    // make its file system read-only and lose what was not synced. Other errors go to the guest.
    ["-device", `virtio-blk-device,drive=${node["node-name"]},werror=enospc,rerror=report`],
    ["-netdev", `tap,id=net,ifname=${slot.tap},script=no,downscript=no`],
    ["-device", `virtio-net-device,netdev=net,mac=${slot.guestMac}`],
    ["-device", "virtio-rng-device"],
    sandboxArgs(),
    dropArgs(facts.version, disk.folder, spec.uid, gid),
  ].flat();
}

function check(spec: MachineSpec, memoryFile: string): void {
  const { runDir, vcpus, memoryMb, uid, slot, disk } = spec;
  if (!PLAIN_PATH.test(runDir)) throw new Error(`Not a run folder: '${runDir}'`);
  if (!PLAIN_PATH.test(disk.folder)) throw new Error(`Not a disk's folder: '${disk.folder}'`);
  if (!PLAIN_PATH.test(memoryFile)) throw new Error(`Not a memory file: '${memoryFile}'`);
  if (runFiles(runDir).qmp.length > MAX_SOCKET_PATH) {
    throw new Error(`The run folder's path is too long for a socket: '${runDir}'`);
  }
  for (const name of [spec.vmId, slot.tap, slot.namespace]) {
    if (!PLAIN_NAME.test(name)) throw new Error(`Not a plain name: '${name}'`);
  }
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(slot.guestMac)) {
    throw new Error(`Not a MAC address: '${slot.guestMac}'`);
  }
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > 64) {
    throw new RangeError(`Not a number of CPUs: ${vcpus}`);
  }
  if (!Number.isInteger(memoryMb) || memoryMb < 64) {
    throw new RangeError(`Not a size of memory in MiB: ${memoryMb}`);
  }
  if (!Number.isInteger(uid) || uid < 1 || uid > 0xfffffffe) {
    throw new RangeError(`Not an unprivileged uid: ${uid}`);
  }
}
