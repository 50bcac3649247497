/**
 * What the agent asks of a virtual machine monitor. A driver knows processes, command lines and monitor
 * protocols; it knows nothing of sandboxes, images, snapshots' folders or network rules.
 */
import type { PageRun } from "../core/memory_pages.ts";
import type { Slot } from "../network/slots.ts";
import type { BlockDevice, LayerControl } from "../rootfs/store.ts";
import type { SnapshotEnvironment } from "../snapshot/manifest.ts";

/** What every start needs. Everything in it exists already: the slot's TAP, the disk, the folder. */
export interface MachineSpec {
  /** One per VMM process: 16 hex digits. */
  readonly vmId: string;
  /** Virtual CPUs. */
  readonly vcpus: number;
  /** Guest memory in MiB. */
  readonly memoryMb: number;
  /** Root disk. Its folder becomes the root of the VMM's process. */
  readonly disk: BlockDevice;
  /** Network namespace, TAP and addresses. */
  readonly slot: Slot;
  /**
   * Empty folder of mode 0700 for sockets and logs, named by the VM id. It shows in the process's command line, so
   * that start-up can prove that a process is ours. The driver fills it; the caller removes it.
   */
  readonly runDir: string;
  /** Unprivileged uid and gid that the VMM runs as. */
  readonly uid: number;
}

/** A machine to boot. */
export interface BootSpec extends MachineSpec {
  /** Guest kernel, an ELF `vmlinux` with a PVH entry. */
  readonly kernel: string;
  /** Initramfs that loads the virtio modules and switches to the root disk. */
  readonly initrd: string;
  /** `wrenn.*` parameters for the guest's init, appended to the kernel command line. */
  readonly initArgs: readonly string[];
  /** File that is made and holds the guest's memory; it can become the base of a snapshot. */
  readonly memoryFile: string;
}

/** A machine to bring back. */
export interface RestoreSpec extends MachineSpec {
  /** File of the whole memory. Mapped privately: it is never written. */
  readonly memoryBase: string;
  /** File of the device state, as {@linkcode Vm.saveState} gave it. */
  readonly state: string;
  /** Writes what the guest's memory has over its base. Called once, before the state is loaded. */
  readonly fill?: ((memory: GuestMemory) => Promise<void>) | undefined;
}

/** A process to start ahead of the machine that it will bring back. */
export interface SpareSpec extends MachineSpec {
  /** A disk without layers: the folder that the process takes as its root, and how large the disk will be. */
  readonly disk: BlockDevice;
  /** File of the whole memory that the machine's own pages will lie over. */
  readonly memoryBase: string;
  /** Group of the process, which may read the layers of its disk. */
  readonly gid: number;
}

/** A process that waits for a machine to bring back. */
export interface SpareVm {
  /** The id given at its start: that of the machine later. */
  readonly vmId: string;
  /** Process id of the VMM on the host. */
  readonly pid: number;
  /** Settles when the process has ended, also as a machine. Never rejects. */
  readonly ended: Promise<unknown>;
  /**
   * Brings a machine back as {@linkcode VmmDriver.restore} does, once. All of `spec` is as it was when the process
   * was started, but the disk, which lies in that folder by whatever name it has now.
   */
  restore(spec: RestoreSpec): Promise<Vm>;
  /** Ends the process; of a machine that it has become, too. Idempotent. */
  kill(): Promise<void>;
}

/** A machine whose agent died. */
export interface AdoptSpec extends MachineSpec {
  /** File of the whole memory. */
  readonly memoryBase: string;
  /** True when the machine was booted: it writes to that file. */
  readonly booted: boolean;
}

/** The memory of a machine whose vCPUs stand still, in pages of 4 KiB. */
export interface GuestMemory extends Disposable {
  /** Pages of the guest. */
  readonly pages: number;
  /** Fills `into`, a whole number of pages, from `page` on. A few MiB at a time: it holds everything else up. */
  read(page: number, into: Uint8Array): void;
  /** Writes a whole number of pages from `page` on; the same holds. */
  write(page: number, bytes: Uint8Array): void;
}

/** How a VMM process ended. */
export interface ExitInfo {
  /** Exit code; undefined when a signal ended it or nobody can tell. */
  readonly code: number | undefined;
  /** Signal name; undefined when it exited or nobody can tell. */
  readonly signal: string | undefined;
  /** Last lines of the VMM's log and of the guest's console, for the error message in our log. */
  readonly tail: string;
}

/** What a VMM process uses. */
export interface VmStats {
  /** CPU time so far, milliseconds. */
  readonly cpuMs: number;
  /** Resident memory, MiB. */
  readonly memoryRssMb: number;
}

/** A machine with a process. */
export interface Vm {
  /** The id given at its start. */
  readonly vmId: string;
  /** Process id of the VMM on the host. */
  readonly pid: number;
  /** Settles once, when the VMM process has ended, for whatever reason. Never rejects. */
  readonly exited: Promise<ExitInfo>;
  /** Stops the vCPUs. Idempotent. */
  pause(): Promise<void>;
  /** Lets the vCPUs run. Idempotent. */
  resume(): Promise<void>;
  /** Whether the vCPUs run. */
  running(): Promise<boolean>;
  /** The state of CPUs and devices. Only while the vCPUs stand still. */
  saveState(): Promise<Uint8Array<ArrayBuffer>>;
  /** The memory. Only while the vCPUs stand still. */
  memory(): Promise<GuestMemory>;
  /**
   * Pages that may differ from the memory base, ascending; undefined for a machine that was booted: its memory file
   * itself has them. Only while the vCPUs stand still.
   */
  writtenPages(): Promise<PageRun[] | undefined>;
  /** Control of the disk's layers; undefined where the VMM knows one block device and nothing below it. */
  readonly layers: LayerControl | undefined;
  /** Ends the process and waits until it is gone. Idempotent, never throws for a process already gone. */
  kill(): Promise<void>;
  /** Figures from /proc. */
  stats(): Promise<VmStats>;
}

/** One kind of VMM on this host. */
export interface VmmDriver {
  /** `qemu 7.2.19`. */
  readonly version: string;
  /** What runs the guest's instructions. */
  readonly accelerator: "kvm" | "tcg";
  /** What a snapshot made here depends on. */
  readonly environment: SnapshotEnvironment;
  /** Starts a machine and answers when its vCPUs run. On failure nothing is left behind. */
  boot(spec: BootSpec): Promise<Vm>;
  /** Brings a machine back and answers when it could run; its vCPUs stand still. On failure nothing is left. */
  restore(spec: RestoreSpec): Promise<Vm>;
  /**
   * Starts a process ahead of what it will bring back, where starting one takes long. On failure nothing is left.
   */
  prepare?(spec: SpareSpec): Promise<SpareVm>;
  /**
   * Takes over the machine of a dead agent, running or not; undefined when its process is gone or cannot be
   * controlled, in which case it is ended.
   */
  adopt(spec: AdoptSpec): Promise<Vm | undefined>;
  /** Ends every VMM process of this driver whose run folder lies in `runRoot` and is not kept. Returns how many. */
  sweep(runRoot: string, keep: ReadonlySet<string>): Promise<number>;
}
