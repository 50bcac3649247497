/** Whether this host takes another sandbox. */
import type { ErrorCode } from "@wrenn/common";

/** Limits of this host, from its configuration. */
export interface CapacityLimits {
  readonly maxSandboxes: number;
  /** Guest memory that may be promised, as a multiple of the host's memory. */
  readonly memoryOvercommit: number;
  /** Memory of the host that sandboxes leave free, MiB. */
  readonly memoryReserveMb: number;
  /** Disk space that sandboxes leave free, MiB. */
  readonly diskReserveMb: number;
}

/** What the host has, and what its sandboxes were promised. */
export interface CapacityView {
  /** Sandboxes that are not final. */
  readonly live: number;
  /** Guest memory of all live sandboxes, MiB. */
  readonly promisedMb: number;
  /** Guest memory of those that start just now and have not touched it yet, MiB. */
  readonly startingMb: number;
  /** Memory of the host, MiB. */
  readonly memoryTotalMb: number;
  /** Memory that the host's kernel could still give out, MiB. */
  readonly memoryAvailableMb: number;
  /** Free space where the layers are, MiB. */
  readonly diskFreeMb: number;
}

/** Why a sandbox does not fit. */
export interface CapacityRefusal {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Undefined when a sandbox of `memoryMb` fits, else why not. */
export function refuseCapacity(
  memoryMb: number,
  view: CapacityView,
  limits: CapacityLimits,
): CapacityRefusal | undefined {
  const full = (message: string): CapacityRefusal => ({ code: "capacity_exhausted", message });
  if (view.live >= limits.maxSandboxes) {
    return full(`Host has its ${limits.maxSandboxes} sandboxes`);
  }
  if (view.promisedMb + memoryMb > view.memoryTotalMb * limits.memoryOvercommit) {
    return full(`Host has promised ${view.promisedMb} MiB, ${memoryMb} MiB more do not fit`);
  }
  if (view.memoryAvailableMb - view.startingMb - memoryMb < limits.memoryReserveMb) {
    return full(`Host is short of memory for ${memoryMb} MiB more`);
  }
  if (view.diskFreeMb < limits.diskReserveMb) {
    return { code: "no_space", message: "Host is short of disk space" };
  }
  return undefined;
}
