/** Capturing a machine whose vCPUs stand still: device state, memory and disk become a snapshot. */
import { join } from "node:path";
import { logger, randomHex, runCommand, type SnapshotId } from "@wrenn/common";
import { MAX_CHAIN } from "../core/snapshot_chain.ts";
import { writeChangedPages } from "../snapshot/changed_pages.ts";
import type { MemoryFile, SnapshotManifest } from "../snapshot/manifest.ts";
import {
  type Snapshot,
  type SnapshotContent,
  type SnapshotDraft,
  type SnapshotStore,
  spaceError,
} from "../snapshot/mod.ts";
import { endVm } from "./end_vm.ts";
import { faultPoint } from "./fault_point.ts";
import type { HostParts, Machine } from "./machine.ts";
import { uidOf } from "./place.ts";

/** What a snapshot is of. */
export interface CaptureOrder {
  readonly id: SnapshotId;
  readonly kind: SnapshotManifest["kind"];
  /** Whose moment it is; null for a golden one. */
  readonly sandboxId: string | null;
  readonly generation: number;
  readonly template: SnapshotManifest["template"];
  /** The guest was frozen and its file systems synced. */
  readonly quiesced: boolean;
  /** The machine goes on afterwards, on another top layer. Else it is not to run again once this has succeeded. */
  readonly goesOn: boolean;
}

/**
 * Writes the snapshot and answers when it is on disk, or for a `fork` when it can be used. When it fails, the machine is as it was and nothing is left.
 *
 * @throws {WrennError} `no_space`, `sandbox_not_running` when the machine ended meanwhile.
 */
export async function capture(
  parts: HostParts,
  machine: Machine,
  order: CaptureOrder,
  store: SnapshotStore = parts.snapshots,
): Promise<Snapshot> {
  try {
    return await captureInto(store, parts, machine, order);
  } catch (error) {
    throw spaceError(error);
  }
}

async function captureInto(
  store: SnapshotStore,
  parts: HostParts,
  machine: Machine,
  order: CaptureOrder,
): Promise<Snapshot> {
  const { vm, shape, tokenId, origin } = machine;
  const { rootfs, vmm, settings, clock } = parts;
  await using draft = await store.draft(order.id);
  const state = "state";
  await Deno.writeFile(join(draft.dir, state), await vm.saveState(), { createNew: true });
  await faultPoint("capture.state", vm.pid);
  const memory = await captureMemory(parts, machine, draft, order);
  await faultPoint("capture.memory", vm.pid);
  // The disk comes last: once the machine has switched to another layer there is no way back.
  const disk = machine.disk;
  if (order.goesOn) {
    const next = await rootfs.addLayer(disk, uidOf(machine.slot));
    await faultPoint("capture.layer", vm.pid);
    await rootfs.switchTo(next, vm.layers);
    machine.disk = next;
    await faultPoint("capture.switched", vm.pid);
  }
  const frozen = await rootfs.freeze(machine.disk, draft.dir, { below: order.goesOn });
  await faultPoint("capture.disk", vm.pid);
  const content: SnapshotContent = {
    kind: order.kind,
    sandbox_id: order.sandboxId,
    parent: origin,
    generation: order.generation,
    environment: vmm.environment,
    template: order.template,
    vcpus: shape.vcpus,
    memory_mb: shape.memoryMb,
    disk_mb: frozen.sizeMb,
    quiesced: order.quiesced,
    token_id: tokenId,
    created_at: new Date(clock.now()).toISOString(),
    created_by: settings.createdBy,
    state,
    memory,
    disk: frozen.layers,
  };
  const snapshot = await (order.kind === "fork" ? draft.lend(content) : draft.commit(content));
  await faultPoint("capture.committed", vm.pid);
  if (order.goesOn && !machine.booted) {
    machine.memory = await store.attach(snapshot, machine.disk.folder);
    machine.origin = snapshot.id;
  }
  return snapshot;
}

/** The memory's files in the draft: what was there before by links, and what is new. */
async function captureMemory(
  parts: HostParts,
  machine: Machine,
  draft: SnapshotDraft,
  { kind, goesOn }: CaptureOrder,
): Promise<MemoryFile[]> {
  const { vm, memory, disk } = machine;
  const paths = memory.map(({ file }) => join(disk.folder, file));
  const began = performance.now();
  if (machine.booted) {
    const [base] = memory;
    const [path] = paths;
    if (base === undefined || path === undefined) throw new Error("A booted machine has no memory");
    const file = `memory-${randomHex(8)}.base`;
    // A golden machine ends with its capture, so that its file is nobody's any more.
    if (kind === "golden" && !goesOn) {
      await endVm(parts, machine);
      await draft.link(path, file);
    } else await copySparse(path, join(draft.dir, file));
    return [{ ...base, file }];
  }
  // A chain that is long enough begins again: the diff then has every page that differs from the base.
  const kept = memory.length > MAX_CHAIN ? 1 : memory.length;
  for (const path of paths.slice(0, kept)) await draft.link(path);
  using guest = await vm.memory();
  const diff = await writeChangedPages({
    candidates: await vm.writtenPages() ?? [],
    guest,
    below: paths.slice(1, kept),
    folder: draft.dir,
  });
  const ms = Math.round(performance.now() - began);
  logger("agent", "snapshot").debug("Wrote memory", { vmId: vm.vmId, ms, pages: diff?.pages ?? 0 });
  const below = memory.slice(0, kept);
  return diff === undefined ? below : [...below, diff];
}

/** A sparse copy: what is a hole stays one. */
async function copySparse(from: string, to: string): Promise<void> {
  await runCommand(["cp", "--sparse=always", "--", from, to]);
}
