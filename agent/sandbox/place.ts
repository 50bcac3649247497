/** Where a machine runs on the host: network slot, disk and run folder. */
import { join } from "node:path";
import { type CleanupStack, randomHex } from "@wrenn/common";
import { FIRST_VMM_UID, VMM_GROUP } from "../core/vmm_ids.ts";
import type { NetworkSlots, Slot } from "../network/slots.ts";
import type { BlockDevice, FrozenDisk, RootfsStore } from "../rootfs/store.ts";
import type { MachineSpec } from "../vmm/driver.ts";
import type { MachineShape } from "./machine.ts";
import type { Spare } from "./spares.ts";

/** What places are made of. */
export interface PlaceParts {
  readonly slots: NetworkSlots;
  readonly rootfs: RootfsStore;
  readonly settings: { readonly runDir: string };
}

/** Where a machine runs. */
export interface Place {
  /** The disk is the machine's, which decides what becomes of it. */
  kept: boolean;
  readonly vmId: string;
  readonly slot: Slot;
  readonly disk: BlockDevice;
  readonly runDir: string;
}

/** Network slot, disk and run folder, side by side. */
export async function takePlace(
  { slots, rootfs, settings }: PlaceParts,
  makeDisk: () => Promise<BlockDevice>,
  diskId: string,
  undo: CleanupStack,
): Promise<Place> {
  const vmId = randomHex(8);
  const runDir = join(settings.runDir, vmId);
  const claimSlot = async (): Promise<Slot> => {
    const slot = await slots.claim();
    undo.add(() => slots.release(slot), "network slot");
    return slot;
  };
  const disk = async (): Promise<BlockDevice> => {
    const made = await makeDisk();
    undo.add(async () => {
      if (!place.kept) await rootfs.remove(diskId);
    }, "disk");
    return made;
  };
  const folder = async (): Promise<void> => {
    undo.add(() => removeFolder(runDir), "run folder");
    await Deno.mkdir(runDir, { mode: 0o700 });
  };
  const place = { kept: false };
  const [slot, made] = await allOrNothing([claimSlot(), disk(), folder()]);
  return Object.assign(place, { vmId, slot, disk: made, runDir });
}

/** The place of a process that waits, with a disk in it. */
export async function placeOf(
  spare: Spare,
  { rootfs }: PlaceParts,
  { diskId, frozen }: { diskId: string; frozen: FrozenDisk },
  undo: CleanupStack,
): Promise<Place> {
  undo.add(() => spare.stop.run(), "process that waited");
  const { vmId, slot, runDir } = spare;
  const place = { kept: false, vmId, slot, runDir };
  const disk = await rootfs.overlayOn(diskId, frozen, {
    disk: spare.disk,
    uid: uidOf(slot),
    gid: VMM_GROUP,
  });
  undo.add(async () => {
    if (!place.kept) await rootfs.remove(diskId);
  }, "disk");
  return Object.assign(place, { disk });
}

/** What its VMM is told. */
export function machineSpec({ vmId, slot, disk, runDir }: Place, shape: MachineShape): MachineSpec {
  return { vmId, slot, disk, runDir, ...shape, uid: uidOf(slot) };
}

/** The uid that the VMM of a slot runs as. */
export function uidOf({ index }: Slot): number {
  return FIRST_VMM_UID + index;
}

/** Waits for all even when one fails, so that each has registered its undo; then throws the first failure. */
async function allOrNothing<T extends readonly unknown[]>(
  steps: { readonly [K in keyof T]: Promise<T[K]> },
): Promise<T> {
  const settled = await Promise.allSettled(steps);
  for (const step of settled) {
    if (step.status === "rejected") throw step.reason;
  }
  return await Promise.all(steps) as unknown as T;
}

/** Removes a folder; a missing one is fine. */
export async function removeFolder(path: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch((error: unknown) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
