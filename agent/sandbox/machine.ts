/** A virtual machine with everything that it has on the host: how it comes and how it goes. */
import { basename, join } from "node:path";
import { CleanupStack, type Clock, hasCode, logger, WrennError } from "@wrenn/common";
import type { SnapshotHost } from "../core/snapshot_compatibility.ts";
import type { Snapshot, SnapshotStore } from "../snapshot/mod.ts";
import { applyDiffs } from "../snapshot/apply_diffs.ts";
import type { MemoryFile } from "../snapshot/manifest.ts";
import type { Guest } from "../guest/guest.ts";
import type { NetworkSlots, Slot } from "../network/slots.ts";
import type { BlockDevice, FrozenDisk, RootfsStore } from "../rootfs/store.ts";
import type { Vm, VmmDriver } from "../vmm/driver.ts";
import { endVm } from "./end_vm.ts";
import type { HostSecret } from "./host_secret.ts";
import { machineSpec, type Place, placeOf, removeFolder, takePlace } from "./place.ts";
import type { Spare, Spares } from "./spares.ts";
import type { StartGate } from "./start_gate.ts";

/** What machines are built from on this host. */
export interface HostParts {
  readonly vmm: VmmDriver;
  readonly slots: NetworkSlots;
  readonly rootfs: RootfsStore;
  /** Snapshots of sandboxes. */
  readonly snapshots: SnapshotStore;
  readonly gate: StartGate;
  readonly clock: Clock;
  readonly secret: HostSecret;
  /** Client of the guest agent behind a slot. */
  readonly connectGuest: (slot: Slot) => Guest;
  readonly settings: HostSettings;
  /** Processes that wait for a machine to bring back, where that is faster. */
  readonly spares?: Pick<Spares, "take" | "seen" | "figures"> | undefined;
}

/** Paths and limits. */
export interface HostSettings {
  readonly kernel: string;
  readonly initrd: string;
  /** Run folders are made in it, one per machine. */
  readonly runDir: string;
  /** Name servers of the guests. */
  readonly dns: readonly string[];
  /** How long a guest may take from boot to the answer of its agent. */
  readonly guestTimeoutMs: number;
  /** `agent 0.1.0 on host-0123abcd`: goes into snapshots. */
  readonly createdBy: string;
}

/** A template as it was at one time. */
export interface TemplateVersion {
  readonly name: string;
  /** Content hash of its image. */
  readonly hash: string;
}

/** vCPUs and memory. */
export interface MachineShape {
  readonly vcpus: number;
  readonly memoryMb: number;
}

/** A machine. Its driver alone changes it. */
export interface Machine {
  readonly vm: Vm;
  readonly guest: Guest;
  readonly slot: Slot;
  readonly runDir: string;
  readonly shape: MachineShape;
  /** Template and hash of the image that its disk began with. */
  readonly template: TemplateVersion;
  disk: BlockDevice;
  /** Its disk stays when it ends. */
  keepsDisk: boolean;
  /** Files of its memory in the disk's folder, base first: what the pages that it has written lie over. */
  memory: readonly MemoryFile[];
  /** It was booted and writes to its memory file. */
  readonly booted: boolean;
  /** Snapshot that it was last restored from or captured as. */
  origin: string | null;
  /** Which derived token opens its guest; null while the guest is sealed. */
  tokenId: string | null;
  /** Ends the machine and frees everything that it had. */
  readonly stop: CleanupStack;
}

/** What another process would say as well. */
const NOT_THE_SPARES = ["capacity_exhausted", "no_space", "snapshot_corrupt"] as const;
const log = logger("agent", "machine");

/** Starts a machine by `work`; whatever it has registered is undone when it fails or the signal has aborted. */
export async function undone<T extends object>(
  signal: AbortSignal,
  work: (undo: CleanupStack) => Promise<T>,
): Promise<T & { readonly stop: CleanupStack }> {
  const undo = new CleanupStack();
  try {
    const made = await work(undo);
    signal.throwIfAborted();
    return Object.assign(made, { stop: undo.move() });
  } catch (error) {
    await undo.run().catch((failure: unknown) =>
      log.error("Cannot undo the start of a machine", { error: failure })
    );
    throw signal.aborted ? signal.reason : typed(error);
  }
}

/** What is brought back. */
export interface RestoreOrder {
  readonly snapshot: Snapshot;
  readonly diskId: string;
  /** False: by a process of its own, since nobody waits. */
  readonly hurry?: boolean;
}

/**
 * Brings back the machine of a snapshot on a disk of its own. Its vCPUs stand still and its network is closed.
 *
 * @throws {WrennError} `capacity_exhausted`, `no_space`, `internal`, or the signal's reason.
 */
export async function restoreMachine(
  parts: HostParts,
  order: RestoreOrder,
  signal: AbortSignal,
): Promise<Machine> {
  const { snapshot, hurry = true } = order;
  const spare = hurry ? await parts.spares?.take(snapshot) : undefined;
  if (spare) {
    try {
      return await restoreIn(parts, order, signal, spare);
    } catch (error) {
      if (signal.aborted || hasCode(error, ...NOT_THE_SPARES)) throw error;
      log.warn("A process that waited is of no use", { vmId: spare.vmId, error });
    }
  }
  return await restoreIn(parts, order, signal);
}

/** By a process that waited, or by a new one. */
async function restoreIn(
  parts: HostParts,
  { snapshot, diskId }: RestoreOrder,
  signal: AbortSignal,
  spare?: Spare,
): Promise<Machine> {
  const { manifest } = snapshot;
  const shape = { vcpus: manifest.vcpus, memoryMb: manifest.memory_mb };
  return await undone(signal, async (undo) => {
    const frozen = frozenDisk(snapshot);
    const place = spare
      ? await placeOf(spare, parts, { diskId, frozen }, undo)
      : await takePlace(parts, () => parts.rootfs.overlayOn(diskId, frozen), diskId, undo);
    const memory = await parts.snapshots.attach(snapshot, place.disk.folder);
    const [base, ...diffs] = memory.map(({ file }) => join(place.disk.folder, file));
    if (base === undefined) throw new Error(`Snapshot '${snapshot.id}' has no memory`);
    signal.throwIfAborted();
    const vm = await (spare?.vm ?? parts.vmm).restore({
      ...machineSpec(place, shape),
      memoryBase: base,
      state: join(snapshot.dir, manifest.state.file),
      ...(diffs.length === 0 ? {} : { fill: (to) => applyDiffs(diffs, to) }),
    });
    return machineOf(parts, place, undo, {
      ...{ vm, shape, memory, booted: false },
      template: manifest.template,
      origin: snapshot.id,
      tokenId: manifest.token_id,
    });
  });
}

/** What a machine boots from. */
export interface BootOrder {
  readonly diskId: string;
  readonly shape: MachineShape;
  readonly template: TemplateVersion;
  readonly hostname: string;
  /** Makes its disk under that id. */
  readonly makeDisk: () => Promise<BlockDevice>;
}

/**
 * Boots a machine. Its vCPUs run and its network is closed; the guest's agent does not answer yet.
 *
 * @throws {WrennError} `capacity_exhausted`, `no_space`, `internal`, or the signal's reason.
 */
export async function bootMachine(
  parts: HostParts,
  { diskId, shape, template, hostname, makeDisk }: BootOrder,
  signal: AbortSignal,
): Promise<Machine> {
  const { kernel, initrd, dns } = parts.settings;
  return await undone(signal, async (undo) => {
    const place = await takePlace(parts, makeDisk, diskId, undo);
    const file = `memory-${place.vmId}.base`;
    signal.throwIfAborted();
    const vm = await parts.vmm.boot({
      ...machineSpec(place, shape),
      ...{ kernel, initrd },
      initArgs: [
        `wrenn.hostname=${hostname}`,
        `wrenn.ip=${place.slot.guestIp}/30`,
        `wrenn.gw=${place.slot.gatewayIp}`,
        `wrenn.dns=${dns.join(",")}`,
      ],
      memoryFile: join(place.disk.folder, file),
    });
    const bytes = shape.memoryMb << 20;
    const memory = [{ file, bytes, digest: "", kind: "base" as const, pages: bytes / 4096 }];
    return machineOf(parts, place, undo, {
      ...{ vm, shape, template, memory, booted: true, origin: null, tokenId: null },
    });
  });
}

/** What this host loads. */
export function snapshotHost({ vmm, rootfs }: HostParts): SnapshotHost {
  return { environment: vmm.environment, rootfs: rootfs.kind };
}

/** The layers of a snapshot's disk. */
export function frozenDisk({ dir, manifest }: Snapshot): FrozenDisk {
  return {
    folder: dir,
    layers: manifest.disk.map(({ file }) => file),
    sizeMb: manifest.disk_mb,
  };
}

/** Waits until the guest's agent answers; ends the machine when it does not. @throws {WrennError} `guest_unavailable` */
export async function untilAnswering(
  parts: HostParts,
  machine: Machine,
  signal: AbortSignal,
  wait: (signal: AbortSignal) => Promise<void> = (s) => machine.guest.untilHealthy(s),
): Promise<void> {
  const { vm } = machine;
  const { settings } = parts;
  const watch = new AbortController();
  let died = false;
  void vm.exited.then(() => {
    died = true;
    watch.abort();
  });
  const limit = setTimeout(() => watch.abort(), settings.guestTimeoutMs);
  try {
    await wait(AbortSignal.any([signal, watch.signal]));
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!watch.signal.aborted) throw error;
    await endVm(parts, machine);
    const { code, signal: by, tail } = await vm.exited;
    log.error("Guest did not answer", { vmId: vm.vmId, code, by, tail });
    throw new WrennError(
      "guest_unavailable",
      died
        ? "Machine ended before its guest agent answered"
        : `Guest agent did not answer within ${settings.guestTimeoutMs / 1000} s`,
      { cause: error },
    );
  } finally {
    clearTimeout(limit);
  }
}

/** What a machine that a dead agent left had, from its record. */
export interface LeftMachine
  extends Pick<Machine, "shape" | "template" | "memory" | "booted" | "origin" | "tokenId"> {
  readonly vmId: string;
  readonly diskId: string;
  /** Index of its slot. */
  readonly slot: number;
}

/**
 * Takes over the machine of a dead agent as it is, running or not. Undefined when it is gone or cannot be
 * controlled: it has ended then, and of what it had only its disk is left.
 */
export async function adoptMachine(
  parts: HostParts,
  { vmId, diskId, slot: index, ...rest }: LeftMachine,
): Promise<Machine | undefined> {
  const { rootfs, slots, vmm, settings } = parts;
  const runDir = join(settings.runDir, vmId);
  const undo = new CleanupStack();
  undo.add(() => removeFolder(runDir), "run folder");
  try {
    const slot = await slots.adopt(index);
    undo.add(() => slots.release(slot), "network slot");
    const found = await rootfs.find(diskId);
    const [base] = rest.memory;
    if (base === undefined) throw new Error("A record has no memory");
    const place: Place = { kept: true, vmId, slot, disk: found, runDir };
    const vm = await vmm.adopt({
      ...machineSpec(place, rest.shape),
      memoryBase: join(found.folder, base.file),
      booted: rest.booted,
    });
    if (vm === undefined) throw new Error("Its process is gone or cannot be controlled");
    const disk = await rootfs.asWritten(found, vm.layers);
    const machine = machineOf(parts, { ...place, disk }, undo, { ...rest, vm });
    return Object.assign(machine, { stop: undo.move() });
  } catch (error) {
    log.error("Cannot take over a machine", { vmId, diskId, error });
    await undo.run();
    return undefined;
  }
}

function machineOf(
  parts: HostParts,
  place: Place,
  undo: CleanupStack,
  rest: Pick<Machine, "vm" | "shape" | "template" | "memory" | "booted" | "origin" | "tokenId">,
): Omit<Machine, "stop"> {
  const { slot, disk, runDir } = place;
  place.kept = true;
  const guest = parts.connectGuest(slot);
  const machine = { ...rest, guest, slot, disk, runDir, keepsDisk: false };
  undo.add(async () => {
    // The disk may have another id by then: a warm machine became a sandbox.
    if (!machine.keepsDisk) await parts.rootfs.remove(basename(machine.disk.folder));
  }, "disk");
  undo.add(() => endVm(parts, machine), "machine");
  undo.add(
    () => guest.close(new WrennError("sandbox_not_running", "Sandbox has ended")),
    "guest connection",
  );
  return machine;
}

/** A full disk shows in many ways; everything else unknown is ours. */
function typed(error: unknown): WrennError {
  if (error instanceof WrennError) return error;
  const text = error instanceof Error ? `${error.message} ${String(error.cause ?? "")}` : "";
  if (/no space left on device|ENOSPC|disk quota exceeded/i.test(text)) {
    return new WrennError("no_space", "Host is out of disk space", { cause: error });
  }
  return new WrennError("internal", "Cannot start the sandbox", { cause: error });
}
