/** What the stand-in says no with. */

/** A call that is refused with status 400. */
export class StandInFault extends Error {
  /** Always `StandInFault`. */
  override readonly name: string = "StandInFault";
  /** True when the process ends after the answer, as after a snapshot that does not load. */
  readonly ends: boolean;

  /** @param message Becomes the `fault_message`. @param ends Whether the process ends. */
  constructor(message: string, ends: boolean = false) {
    super(message);
    this.ends = ends;
  }
}

/** A pre-boot call after the start. Firecracker's own words. */
export const POST_BOOT = "The requested operation is not supported after starting the microVM.";
/** A runtime call before the start. Firecracker's own words. */
export const PRE_BOOT = "The requested operation is not supported before starting the microVM.";
/** A snapshot for a process that was configured. Firecracker's own words. */
export const LOAD_NOT_ALLOWED =
  "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.";
/** A resource whose path names another one. Firecracker's own words. */
export const ID_MISMATCH = "The id from the path does not match the id from the body!";
/** A start of a machine without a kernel. Firecracker's own words. */
export const NO_KERNEL = "Start microvm error: Cannot start microvm without kernel configuration.";
/** A second root drive. Firecracker's own words. */
export const SECOND_ROOT = "Drive config error: A root block device already exists!";
