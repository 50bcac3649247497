/** Whether a snapshot of one host can be loaded on another. */
import type { SnapshotEnvironment } from "../snapshot/manifest.ts";

/** A guest's clock follows the counter it was told of; `/init` steps what is left. */
const TSC_TOLERANCE = 0.01;

/** Undefined when a snapshot made in `made` can be loaded in `here`, else why not. */
export function incompatibility(
  made: SnapshotEnvironment,
  here: SnapshotEnvironment,
): string | undefined {
  const say = (what: string, was: string, is: string): string =>
    `Snapshot was made ${what} '${was}', this host has '${is}'`;
  if (made.vmm !== here.vmm) return say("by", made.vmm, here.vmm);
  if (made.accelerator !== here.accelerator) {
    return say("under the accelerator", made.accelerator, here.accelerator);
  }
  if (made.cpu_model !== here.cpu_model) return say("on the CPU", made.cpu_model, here.cpu_model);
  if (made.kernel_hash !== here.kernel_hash) {
    const short = (hash: string): string => hash.slice(0, 12);
    return say("with the guest kernel", short(made.kernel_hash), short(here.kernel_hash));
  }
  if (Math.abs(made.tsc_khz - here.tsc_khz) > here.tsc_khz * TSC_TOLERANCE) {
    return say("with a counter of kHz", String(made.tsc_khz), String(here.tsc_khz));
  }
  return undefined;
}
