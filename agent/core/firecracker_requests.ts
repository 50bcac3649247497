/**
 * The calls that make a machine under Firecracker: a pure function of the machine asked for, of the names that its
 * files have inside its process's root, and of the settings of this host.
 */
import type { LogLevel, SnapshotLoad } from "../vmm/firecracker/api_types.ts";
import type { BootSpec, MachineSpec, RestoreSpec } from "../vmm/driver.ts";
import {
  type OutputCall,
  patchDrive,
  patchNetworkInterface,
  putBootSource,
  putDrive,
  putEntropy,
  putLogger,
  putMachineConfig,
  putMetrics,
  putNetworkInterface,
  putSerial,
  type SetupCall,
  type UpdateCall,
} from "./firecracker_calls.ts";
import { type IoLimits, rateLimiter, replacedRateLimiter } from "./firecracker_limits.ts";
import { checkedWords, GUEST_WORDS } from "./kernel_words.ts";

/** Name of the root disk. */
export const ROOT_DRIVE = "rootfs";
/** Name of the network interface. */
export const NETWORK_INTERFACE = "eth0";
/** Longest command line of ours. Firecracker takes 2047 characters, and its own words come on top. */
export const MAX_KERNEL_LINE = 1792;

/** What holds for every machine of a host. */
export interface FirecrackerSettings {
  /** Limits of disk and network. */
  readonly limits: IoLimits;
  /** Lets Diff snapshots be taken; writes cost more. */
  readonly trackDirtyPages: boolean;
  /** `Writeback` performs the guest's flushes, `Unsafe` ignores them. */
  readonly cacheType: "Unsafe" | "Writeback";
  /** `Async` is io_uring, which the host's kernel must have. */
  readonly ioEngine: "Sync" | "Async";
  readonly logLevel: LogLevel;
  /** Advances a restored guest's KVM clock to now. */
  readonly clockRealtime: boolean;
  /** Rate of the TSC in kHz, on hosts whose KVM cannot tell it to a guest because it is emulated itself. */
  readonly tscKhz?: number;
}

/** What is set where nobody says otherwise. */
export const DEFAULT_SETTINGS: FirecrackerSettings = {
  limits: {},
  trackDirtyPages: false,
  cacheType: "Writeback",
  ioEngine: "Sync",
  logLevel: "Warning",
  clockRealtime: true,
};

/** Files for Firecracker's own words, which exist already. Absolute, as the jailed process sees them. */
export interface OutputPaths {
  readonly log?: string;
  readonly metrics?: string;
}

/** Files of a machine that boots. Absolute, as the jailed process sees them. */
export interface BootPaths extends OutputPaths {
  readonly kernel: string;
  readonly initrd: string;
  /** The root disk. A machine that is restored from a snapshot of this one finds its disk there too. */
  readonly disk: string;
  /** Takes the guest's console, which is Firecracker's standard output else. Exists already. */
  readonly serial?: string;
}

/** Files of a machine that is restored. Absolute, as the jailed process sees them. */
export interface RestorePaths extends OutputPaths {
  /** State of CPUs and devices. */
  readonly state: string;
  readonly memory: string;
}

/** How a machine is restored. */
export interface RestoreCalls {
  /** Sent first. */
  readonly before: readonly OutputCall[];
  /** Loads the snapshot; the vCPUs stand still. */
  readonly load: SnapshotLoad & { readonly resume_vm: false };
  /** Sent before the vCPUs run: a snapshot keeps the limits that held when it was taken. */
  readonly after: readonly UpdateCall[];
}

/**
 * The guest's kernel command line.
 *
 * @throws {Error} When a word has a space or a control character.
 * @throws {RangeError} When it is too long.
 */
export function firecrackerKernelLine(
  initArgs: readonly string[],
  { tscKhz }: Pick<FirecrackerSettings, "tscKhz">,
): string {
  // Firecracker ends when its guest resets itself by the keyboard's controller; it knows no other way out.
  const words = ["console=ttyS0", "quiet", "reboot=k", "panic=1", ...GUEST_WORDS];
  if (tscKhz !== undefined) words.push(`tsc_early_khz=${tscKhz}`);
  const line = [...words, ...checkedWords(initArgs)].join(" ");
  if (line.length > MAX_KERNEL_LINE) {
    throw new RangeError(
      `The kernel's command line has ${line.length} characters, at most ${MAX_KERNEL_LINE}`,
    );
  }
  return line;
}

/**
 * All calls that describe a machine, in order. What is left is to start it.
 *
 * @throws {Error} When something in the request is nothing for Firecracker; a `RangeError` for numbers.
 */
export function bootCalls(
  spec: BootSpec,
  paths: BootPaths,
  settings: FirecrackerSettings = DEFAULT_SETTINGS,
): (OutputCall | SetupCall)[] {
  check(spec, paths);
  const { limits } = settings;
  const disk = rateLimiter(limits.disk);
  const receive = rateLimiter(limits.receive);
  const send = rateLimiter(limits.send);
  return [
    ...outputCalls(paths, settings),
    putMachineConfig({
      vcpu_count: spec.vcpus,
      mem_size_mib: spec.memoryMb,
      track_dirty_pages: settings.trackDirtyPages,
    }),
    putBootSource({
      kernel_image_path: paths.kernel,
      initrd_path: paths.initrd,
      boot_args: firecrackerKernelLine(spec.initArgs, settings),
    }),
    putDrive({
      drive_id: ROOT_DRIVE,
      is_root_device: true,
      path_on_host: paths.disk,
      is_read_only: false,
      cache_type: settings.cacheType,
      io_engine: settings.ioEngine,
      ...(disk ? { rate_limiter: disk } : {}),
    }),
    putNetworkInterface({
      iface_id: NETWORK_INTERFACE,
      host_dev_name: spec.slot.tap,
      guest_mac: spec.slot.guestMac,
      ...(receive ? { rx_rate_limiter: receive } : {}),
      ...(send ? { tx_rate_limiter: send } : {}),
    }),
    putEntropy(),
    ...(paths.serial === undefined ? [] : [putSerial({ serial_out_path: paths.serial })]),
  ];
}

/**
 * All calls that bring a machine back, its vCPUs standing still.
 *
 * @throws {Error} When something in the request is nothing for Firecracker; a `RangeError` for numbers.
 */
export function restoreCalls(
  spec: RestoreSpec,
  paths: RestorePaths,
  settings: FirecrackerSettings = DEFAULT_SETTINGS,
): RestoreCalls {
  check(spec, paths);
  const { limits } = settings;
  return {
    before: outputCalls(paths, settings),
    load: {
      snapshot_path: paths.state,
      mem_backend: { backend_type: "File", backend_path: paths.memory },
      resume_vm: false,
      track_dirty_pages: settings.trackDirtyPages,
      network_overrides: [{ iface_id: NETWORK_INTERFACE, host_dev_name: spec.slot.tap }],
      clock_realtime: settings.clockRealtime,
    },
    after: [
      patchDrive({ drive_id: ROOT_DRIVE, rate_limiter: replacedRateLimiter(limits.disk) }),
      patchNetworkInterface({
        iface_id: NETWORK_INTERFACE,
        rx_rate_limiter: replacedRateLimiter(limits.receive),
        tx_rate_limiter: replacedRateLimiter(limits.send),
      }),
    ],
  };
}

function outputCalls({ log, metrics }: OutputPaths, settings: FirecrackerSettings): OutputCall[] {
  return [
    ...(log === undefined ? [] : [putLogger({ log_path: log, level: settings.logLevel })]),
    ...(metrics === undefined ? [] : [putMetrics({ metrics_path: metrics })]),
  ];
}

function check(spec: MachineSpec, paths: BootPaths | RestorePaths): void {
  const { vcpus, memoryMb, slot, disk } = spec;
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > 32) {
    throw new RangeError(`Not a number of CPUs for Firecracker: ${vcpus}`);
  }
  if (!Number.isSafeInteger(memoryMb) || memoryMb < 64) {
    throw new RangeError(`Not a size of memory in MiB: ${memoryMb}`);
  }
  if (disk.format !== "raw") {
    throw new Error(`Firecracker reads raw disks alone, and this one is '${disk.format}'`);
  }
  if (!/^[\w.-]{1,15}$/.test(slot.tap)) throw new Error(`Not a TAP's name: '${slot.tap}'`);
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(slot.guestMac)) {
    throw new Error(`Not a MAC address: '${slot.guestMac}'`);
  }
  for (const path of Object.values(paths)) {
    if (typeof path === "string" && !path.startsWith("/")) {
      throw new Error(`Not an absolute path: '${path}'`);
    }
  }
}
