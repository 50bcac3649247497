/** Whether a snapshot of one host can be loaded on another. */
import type { SnapshotEnvironment, SnapshotManifest } from "../snapshot/manifest.ts";
import type { RootfsKind } from "./platform_choice.ts";

/** What a snapshot says of where it was made. */
export type SnapshotOrigin = Pick<SnapshotManifest, "environment"> & {
  readonly disk: readonly { readonly file: string }[];
};

/** What a host loads. */
export interface SnapshotHost {
  readonly environment: SnapshotEnvironment;
  readonly rootfs: RootfsKind;
}

const KIND_OF_LAYER: Readonly<Record<string, RootfsKind>> = { qcow2: "qcow2", cow: "dm" };

/** A guest's clock follows the counter it was told of; `/init` steps what is left. */
const TSC_TOLERANCE = 0.01;

/** Undefined when a snapshot can be loaded on a host, else why not. */
export function incompatibility(
  { environment: made, disk }: SnapshotOrigin,
  { environment: here, rootfs }: SnapshotHost,
): string | undefined {
  const say = (what: string, was: string, is: string): string =>
    `Snapshot was made ${what} '${was}', this host has '${is}'`;
  if (made.vmm !== here.vmm) return say("by", made.vmm, here.vmm);
  // The image below the layers is the same for all.
  const kind = KIND_OF_LAYER[disk.at(-1)?.file.split(".").at(-1) ?? ""];
  if (kind !== undefined && kind !== rootfs) return say("on disks of", kind, rootfs);
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
