/**
 * What the agent asks of a virtual machine monitor. A driver knows processes, command lines and monitor
 * protocols; it knows nothing of sandboxes, images or network rules.
 */
import type { BlockDevice } from "../rootfs/store.ts";
import type { Slot } from "../network/slots.ts";

/** A machine to boot. Everything in it exists already: the slot's TAP, the disk, the folder. */
export interface BootSpec {
  /** One per VMM process: 16 hex digits. */
  readonly vmId: string;
  /** Shows in the process's command line, so that start-up can prove that a process is ours. */
  readonly sandboxId: string;
  /** Virtual CPUs. */
  readonly vcpus: number;
  /** Guest memory in MiB. */
  readonly memoryMb: number;
  /** Root disk, writable. */
  readonly disk: BlockDevice;
  /** Network namespace, TAP and addresses. */
  readonly slot: Slot;
  /** Guest kernel, an ELF `vmlinux` with a PVH entry. */
  readonly kernel: string;
  /** Initramfs that loads the virtio modules and switches to the root disk. */
  readonly initrd: string;
  /** `wrenn.*` parameters for the guest's init, appended to the kernel command line. */
  readonly initArgs: readonly string[];
  /** Empty folder of mode 0700 for sockets and logs. The driver fills it; the caller removes it. */
  readonly runDir: string;
  /** Unprivileged uid and gid that the VMM runs as. */
  readonly uid: number;
}

/** How a VMM process ended. */
export interface ExitInfo {
  /** Exit code; undefined when a signal ended it. */
  readonly code: number | undefined;
  /** Signal name; undefined when it exited. */
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

/** A running machine. */
export interface Vm {
  /** The id given at boot. */
  readonly vmId: string;
  /** Process id of the VMM on the host. */
  readonly pid: number;
  /** Settles once, when the VMM process has ended, for whatever reason. Never rejects. */
  readonly exited: Promise<ExitInfo>;
  /** Stops the vCPUs. Idempotent. */
  pause(): Promise<void>;
  /** Lets the vCPUs run. Idempotent. */
  resume(): Promise<void>;
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
  /** Starts a machine and answers when its vCPUs run. On failure nothing is left behind. */
  boot(spec: BootSpec): Promise<Vm>;
  /** Ends every VMM process of this driver whose run folder lies in `runRoot`. Returns how many. */
  sweep(runRoot: string): Promise<number>;
}
