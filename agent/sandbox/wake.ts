/** Bringing a hibernated sandbox back: from its memory, or when that is of no use, from the same moment's disk. */
import { hasCode, logger, type SandboxId, WrennError } from "@wrenn/common";
import { incompatibility } from "../core/snapshot_compatibility.ts";
import type { BlockDevice } from "../rootfs/store.ts";
import type { Snapshot } from "../snapshot/mod.ts";
import { faultPoint } from "./fault_point.ts";
import { giveIdentity, wakeIdentity } from "./identity.ts";
import {
  bootMachine,
  frozenDisk,
  type HostParts,
  type Machine,
  restoreMachine,
  snapshotHost,
  type TemplateVersion,
  untilAnswering,
} from "./machine.ts";
import type { Restored, SandboxSpec } from "./types.ts";

/** A sandbox to bring back. */
export interface WakeOrder {
  readonly id: SandboxId;
  readonly spec: SandboxSpec;
  /** Its disk while it comes: its own id, or another one while a machine of that id lives. */
  readonly diskId: string;
}

/** A sandbox that is back. */
export interface Woken {
  readonly machine: Machine;
  readonly restored: Restored;
}

const log = logger("agent", "wake");

/**
 * Checks a snapshot for a restore on this host.
 *
 * @throws {WrennError} `snapshot_incompatible`, `snapshot_corrupt`
 */
export async function requireUsable(parts: HostParts, snapshot: Snapshot): Promise<void> {
  const why = incompatibility(snapshot.manifest, snapshotHost(parts));
  if (why !== undefined) throw new WrennError("snapshot_incompatible", why);
  await parts.snapshots.verify(snapshot);
}

/**
 * Wakes from a snapshot. Memory that is damaged or does not come to life is given up for the disk of the same
 * moment, and the answer says so.
 *
 * @throws {WrennError} `snapshot_incompatible` for another host's; `snapshot_corrupt` when the disk is damaged, too;
 * `capacity_exhausted`, `no_space`, `guest_unavailable`, or the signal's reason.
 */
export async function wakeFrom(
  parts: HostParts,
  snapshot: Snapshot,
  order: WakeOrder,
  signal: AbortSignal,
): Promise<Woken> {
  const { generation } = snapshot.manifest;
  try {
    await requireUsable(parts, snapshot);
    using _permit = await parts.gate.enter(signal);
    const machine = await fromMemory(parts, snapshot, order, signal);
    return { machine, restored: { from: "memory", generation, reason: "" } };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (hasCode(error, "snapshot_incompatible", "capacity_exhausted", "no_space")) throw error;
    log.error("Memory of a sandbox is of no use, booting its disk", { id: order.id, error });
    await parts.snapshots.verifyDisk(snapshot);
    const { code, message } = WrennError.from(error);
    const machine = await fromDisk(
      parts,
      order,
      snapshot.manifest.template,
      () => parts.rootfs.overlayOn(order.diskId, frozenDisk(snapshot)),
      signal,
    );
    return { machine, restored: { from: "disk", generation, reason: `${code}: ${message}` } };
  }
}

/** Boots a disk: its files are there, its processes are not. */
export async function fromDisk(
  parts: HostParts,
  { id, spec, diskId }: WakeOrder,
  template: TemplateVersion,
  makeDisk: () => Promise<BlockDevice>,
  signal: AbortSignal,
): Promise<Machine> {
  using _permit = await parts.gate.enter(signal);
  const shape = { vcpus: spec.vcpus, memoryMb: spec.memoryMb };
  const machine = await bootMachine(
    parts,
    { diskId, shape, template, hostname: id, makeDisk },
    signal,
  );
  return await endedOnFailure(machine, async () => {
    await parts.slots.applyPolicy(machine.slot, spec.network);
    await untilAnswering(parts, machine, signal);
    await giveIdentity(parts, machine, { id, env: spec.env }, signal);
  });
}

async function fromMemory(
  parts: HostParts,
  snapshot: Snapshot,
  { spec, diskId }: WakeOrder,
  signal: AbortSignal,
): Promise<Machine> {
  const machine = await restoreMachine(parts, { snapshot, diskId }, signal);
  return await endedOnFailure(machine, async () => {
    await faultPoint("wake.restored", machine.vm.pid);
    await parts.slots.applyPolicy(machine.slot, spec.network);
    await machine.vm.resume();
    await faultPoint("wake.resumed", machine.vm.pid);
    await untilAnswering(parts, machine, signal, (s) => wakeIdentity(parts, machine, s));
  });
}

async function endedOnFailure(machine: Machine, work: () => Promise<void>): Promise<Machine> {
  try {
    await work();
    return machine;
  } catch (error) {
    await machine.stop.run();
    throw error;
  }
}
