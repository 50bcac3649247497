/**
 * What a new agent does about the one before: takes over the machines of its records, keeps the files of hibernated
 * sandboxes, and clears everything else.
 */
import { join } from "node:path";
import { logger } from "@wrenn/common";
import type { SnapshotStore } from "../snapshot/mod.ts";
import { adoptMachine, type HostParts, type Machine } from "./machine.ts";
import { removeFolder } from "./place.ts";
import { wakeIdentity } from "./identity.ts";
import type { SandboxManager } from "./manager.ts";
import type { SandboxRecord, SandboxRecords } from "./records.ts";

/** What is recovered. */
export interface RecoverParts {
  readonly parts: HostParts;
  readonly records: SandboxRecords;
  readonly manager: Pick<SandboxManager, "found">;
}

/** How much there was. */
export interface Recovered {
  readonly machines: number;
  readonly hibernated: number;
  readonly lost: number;
}

const RUN_FOLDER = /^[0-9a-f]{16}$/;
const WAKE_LIMIT_MS = 10_000;
const log = logger("agent", "recover");

/**
 * Recovers, in the order that lets each go: machines hold TAPs and disks, so those that are not kept end first; then
 * namespaces, disks, run folders, snapshots. Safe to repeat.
 */
export async function recover({ parts, records, manager }: RecoverParts): Promise<Recovered> {
  const known = await records.list();
  await clear(parts, known);
  let [machines, hibernated, lost] = [0, 0, 0];
  for (const record of known) {
    if (record.machine === undefined) {
      manager.found(record, undefined);
      hibernated++;
      continue;
    }
    const machine = await takeOver(parts, record);
    if (machine) {
      manager.found(record, machine);
      machines++;
    } else if (record.state === "paused") {
      manager.found(diskAlone(record), undefined);
      records.write(diskAlone(record), { durable: true });
      hibernated++;
    } else {
      await forget(parts, records, record);
      lost++;
    }
  }
  const result = { machines, hibernated, lost };
  log.info("Recovered", result);
  return result;
}

/** Ends and removes everything that no record names. */
async function clear(parts: HostParts, known: readonly SandboxRecord[]): Promise<void> {
  const { vmm, slots, rootfs, snapshots, settings } = parts;
  const kept = known.flatMap(({ machine }) => machine ? [machine] : []);
  const runDirs = new Set(kept.map(({ vmId }) => join(settings.runDir, vmId)));
  const machines = await vmm.sweep(settings.runDir, runDirs);
  await slots.start({ keep: new Set(kept.map(({ slot }) => slot)) });
  const withDisk = known.filter((r) => r.machine !== undefined || r.wakesFrom === undefined);
  const disks = await rootfs.sweep(new Set(withDisk.map(({ id }) => id)));
  let runFolders = 0;
  for await (const { name, isDirectory } of Deno.readDir(settings.runDir)) {
    const path = join(settings.runDir, name);
    // Only folders of machines are ours: the operator may keep a socket beside them.
    if (!isDirectory || !RUN_FOLDER.test(name) || runDirs.has(path)) continue;
    await removeFolder(path);
    runFolders++;
  }
  const removed = await clearSnapshots(snapshots, known);
  log.info("Swept", { machines, disks, runFolders, snapshots: removed });
}

/** Removes torn snapshots, and whole ones that were a sandbox's and are in no record. */
async function clearSnapshots(
  snapshots: SnapshotStore,
  known: readonly SandboxRecord[],
): Promise<number> {
  let removed = await snapshots.sweep();
  const referenced = new Set(
    known.flatMap((record) => [
      ...record.generations.map(({ snapshotId }) => snapshotId),
      ...(record.wakesFrom === undefined ? [] : [record.wakesFrom]),
    ]),
  );
  for (const { id, manifest } of await snapshots.list()) {
    const passing = manifest.kind === "fork" || manifest.kind === "sandbox";
    if (!passing || referenced.has(id)) continue;
    await snapshots.remove(id);
    removed++;
  }
  return removed;
}

/** Takes a machine over in the state that its record tells. */
async function takeOver(parts: HostParts, record: SandboxRecord): Promise<Machine | undefined> {
  const { machine: left, spec, id } = record;
  if (left === undefined) return undefined;
  const { vmId, slot, booted, origin, templateHash, memory } = left;
  const machine = await adoptMachine(parts, {
    ...{ vmId, slot, booted, origin, memory, diskId: id },
    shape: { vcpus: spec.vcpus, memoryMb: spec.memoryMb },
    template: { name: spec.template, hash: templateHash },
    tokenId: vmId,
  });
  if (machine === undefined) return undefined;
  try {
    await parts.slots.applyPolicy(machine.slot, spec.network);
    // Nobody was told of a change that is not in the record: it never happened.
    if (record.state === "running") {
      await machine.vm.resume();
      const limit = AbortSignal.timeout(WAKE_LIMIT_MS);
      await wakeIdentity(parts, machine, limit).catch((error: unknown) =>
        log.warn("Cannot wake a guest that was taken over", { id, error })
      );
    } else await machine.vm.pause();
    return machine;
  } catch (error) {
    log.error("Cannot take over a sandbox", { id, error });
    await machine.stop.run();
    return undefined;
  }
}

/** A paused sandbox whose machine is gone: its disk was synced when it was paused. */
function diskAlone(record: SandboxRecord): SandboxRecord {
  return {
    ...record,
    state: "hibernated",
    machine: undefined,
    wakesFrom: undefined,
    reason: { code: "guest_unavailable", message: "Machine ended while its agent was away" },
  };
}

/** A sandbox whose machine is gone and that had no files to come back from. */
async function forget(
  { rootfs, snapshots }: HostParts,
  records: SandboxRecords,
  { id, generations }: SandboxRecord,
): Promise<void> {
  records.remove(id);
  await rootfs.remove(id);
  for (const { snapshotId, named } of generations) {
    if (!named) await snapshots.remove(snapshotId);
  }
}
