/**
 * What a sandbox is on this host: its machine while it has one, its generations on disk, and the steps that lead from
 * one to the other. Its driver calls one step at a time and decides about states.
 */
import { logger, newSnapshotId, randomHex, type SnapshotId, WrennError } from "@wrenn/common";
import type { SandboxState } from "../core/sandbox_state.ts";
import { needsCollapse } from "../core/snapshot_chain.ts";
import type { GuestReport } from "../guest/guest.ts";
import type { Snapshot } from "../snapshot/mod.ts";
import { observeStart } from "../metrics.ts";
import { capture } from "./capture.ts";
import { faultPoint } from "./fault_point.ts";
import type { HostParts, Machine } from "./machine.ts";
import type { SandboxRecord, SandboxRecords } from "./records.ts";
import { quiesceGuest, wakeGuest } from "./standstill.ts";
import type { Starter } from "./start.ts";
import type { EndReason, Generation, Restored, SandboxOrder } from "./types.ts";
import { fromDisk, requireUsable, wakeFrom, type Woken } from "./wake.ts";

/** What a life needs. */
export interface LifeOptions {
  readonly parts: HostParts;
  readonly records: SandboxRecords;
  readonly order: SandboxOrder;
  readonly createdAt: number;
  /** Gives up what is under way: the sandbox is to end. */
  readonly signal: AbortSignal;
  /** A machine of this sandbox has ended, for whatever reason. */
  readonly onExit: (machine: Machine) => void;
  /** What a dead agent wrote down. */
  readonly record?: SandboxRecord;
}

/** What becomes of a captured moment: see docs/snapshots.md. */
export type CaptureKind = "generation" | "named" | "fork";

/** Generations that are kept beside the named ones. */
const KEPT_GENERATIONS = 8;
/** Layers of a running disk before those of the sandbox are taken into one. */
const MAX_LAYERS = 10;
/** The image and the golden snapshot's layer. */
const SHARED_LAYERS = 2;

/** One sandbox's machine and files. */
export class SandboxLife {
  readonly #options: LifeOptions;
  readonly #log = logger("agent", "sandbox");
  #machine: Machine | undefined;
  #generations: Generation[];
  #counter: number;
  #wakesFrom: SnapshotId | undefined;
  #startedAt: number | undefined;
  #diskMb: number;
  #quiesced = false;
  #standsStill: boolean;
  /** Settles when the guest of vCPUs that run again has been woken. */
  #awake: Promise<void> = Promise.resolve();
  #timing: Readonly<Record<string, number>> = {};

  /** @param options Parts, order, and what a dead agent wrote down. */
  constructor(options: LifeOptions) {
    this.#options = options;
    const { record, order } = options;
    this.#generations = [...record?.generations ?? []];
    this.#counter = record?.generation ?? 0;
    this.#wakesFrom = record?.wakesFrom;
    this.#startedAt = record?.startedAt;
    this.#diskMb = order.spec.diskMb;
    this.#standsStill = record !== undefined && record.state !== "running";
  }

  /** The machine; undefined while the sandbox is files alone. */
  get machine(): Machine | undefined {
    return this.#machine;
  }

  /** True while its vCPUs stand still, or are being stopped, on our behalf. */
  get standsStill(): boolean {
    return this.#standsStill;
  }

  /** When it was asked for, wall-clock milliseconds. */
  get createdAt(): number {
    return this.#options.createdAt;
  }

  /** When it first ran. */
  get startedAt(): number | undefined {
    return this.#startedAt;
  }

  /** Size of its disk once it has one, MiB. */
  get diskMb(): number {
    return this.#diskMb;
  }

  /** Oldest first. */
  get generations(): readonly Generation[] {
    return this.#generations;
  }

  /** The newest generation on disk. */
  get newest(): Generation | undefined {
    return this.#generations.at(-1);
  }

  /** Milliseconds of the steps of its start. */
  get timing(): Readonly<Record<string, number>> {
    return this.#timing;
  }

  /** Comes to life. @throws As the starter does. */
  async start(
    starter: Starter,
  ): Promise<{ way: string; report: GuestReport | undefined }> {
    const { order, signal, parts } = this.#options;
    const began = parts.clock.monotonic();
    const { machine, way, report, timing } = await starter(order, signal);
    observeStart(way, parts.clock.monotonic() - began, timing);
    this.#timing = timing;
    this.#startedAt = parts.clock.now();
    this.adopt(machine);
    return { way, report };
  }

  /** Takes a machine for the sandbox's. */
  adopt(machine: Machine): void {
    this.#machine = machine;
    this.#diskMb = machine.disk.sizeMb;
    void machine.vm.exited.then(() => this.#options.onExit(machine));
  }

  /** Freezes the guest, syncs its disks, stops its vCPUs. */
  async pause(): Promise<void> {
    const machine = this.#present();
    await this.#awake;
    this.#standsStill = true;
    try {
      this.#quiesced = await quiesceGuest(machine, this.#options.order.id);
      await faultPoint("pause.frozen", machine.vm.pid);
      await machine.vm.pause();
      await faultPoint("pause.stopped", machine.vm.pid);
    } catch (error) {
      await this.#goOn(machine);
      throw error;
    }
  }

  /** Lets a paused machine run. */
  async resume(): Promise<void> {
    await this.#goOn(this.#present());
  }

  /**
   * Captures this moment. A machine that runs is stopped for it and goes on. After a `generation` it is not to run
   * again.
   */
  async capture(
    id: SnapshotId,
    kind: CaptureKind,
    running: boolean,
  ): Promise<Snapshot> {
    const { parts, order } = this.#options;
    const machine = this.#present();
    if (running) await this.pause();
    let snapshot: Snapshot;
    try {
      snapshot = await capture(parts, machine, {
        id,
        kind: kind === "generation" ? "sandbox" : kind,
        sandboxId: order.id,
        generation: this.#counter + 1,
        template: machine.template,
        quiesced: this.#quiesced,
        goesOn: kind !== "generation",
      });
      if (kind !== "fork") await this.#keep(snapshot, kind === "named");
      if (kind === "generation") this.#wakesFrom = snapshot.id;
    } catch (error) {
      if (running) await this.#goOn(machine);
      throw error;
    }
    try {
      // The copies of a fork need not wait until the guest has told its clock and thawed its processes.
      if (running && kind === "fork") await this.#run(machine);
      else if (running) await this.#goOn(machine);
      if (kind !== "generation") await this.#flatten(machine);
    } catch (error) {
      // Whoever asked is told of the failure, so that nobody would ever remove it.
      if (kind === "fork") await parts.snapshots.remove(snapshot.id);
      throw error;
    }
    return snapshot;
  }

  /** Brings it back from its files. @throws As `wakeFrom()`. */
  async wake(): Promise<Restored> {
    const { parts, order, signal } = this.#options;
    const { id, spec } = order;
    const wake = { id, spec, diskId: id };
    if (this.#wakesFrom === undefined) {
      const template = { name: spec.template, hash: "" };
      const disk = (): ReturnType<typeof parts.rootfs.find> => parts.rootfs.find(id);
      this.#begin(await fromDisk(parts, wake, template, disk, signal));
      return { from: "disk", generation: this.#counter, reason: "Its machine had ended" };
    }
    const snapshot = await parts.snapshots.get(this.#wakesFrom);
    const { machine, restored } = await wakeFrom(parts, snapshot, wake, signal);
    this.#begin(machine);
    return restored;
  }

  /** Goes back to a generation, in place. The present machine ends only when the other one is there. */
  async rollback(generation: number): Promise<Restored> {
    const { parts, order, signal } = this.#options;
    const found = this.#generations.find((g) => g.generation === generation);
    if (!found) {
      throw new WrennError(
        "snapshot_not_found",
        `Sandbox '${order.id}' has no generation ${generation}`,
      );
    }
    const snapshot = await parts.snapshots.get(found.snapshotId);
    await requireUsable(parts, snapshot);
    const diskId = `warm-${randomHex(8)}`;
    const { id, spec } = order;
    const woken: Woken = await wakeFrom(parts, snapshot, { id, spec, diskId }, signal);
    try {
      await this.endMachine();
      await parts.rootfs.remove(id);
      woken.machine.disk = await parts.rootfs.rename(woken.machine.disk, id);
    } catch (error) {
      await woken.machine.stop.run();
      throw error;
    }
    this.#begin(woken.machine);
    return woken.restored;
  }

  /** Ends the machine; the sandbox is its files. */
  async endMachine(): Promise<void> {
    const machine = this.#machine;
    this.#machine = undefined;
    await machine?.stop.run();
  }

  /** A capture that was to replace the machine is not wanted: the machine stays. */
  async dropCapture(): Promise<void> {
    this.#wakesFrom = undefined;
    const dropped = this.#generations.pop();
    if (dropped) await this.#options.parts.snapshots.remove(dropped.snapshotId);
  }

  /** Ends a machine that was just woken: the sandbox is the files that it came from. */
  async sleepAgain(): Promise<void> {
    if (this.#wakesFrom === undefined) await this.keepDisk();
    else await this.endMachine();
  }

  /** The machine is gone without a capture: its disk is what is left. */
  async keepDisk(): Promise<void> {
    this.#wakesFrom = undefined;
    if (this.#machine) this.#machine.keepsDisk = true;
    await this.endMachine();
  }

  /** Ends the machine and removes every file that is not somebody else's. */
  async end(): Promise<void> {
    const { parts, order } = this.#options;
    await this.endMachine();
    await parts.rootfs.remove(order.id);
    for (const { snapshotId, named } of this.#generations) {
      if (!named) await parts.snapshots.remove(snapshotId);
    }
  }

  /** A named snapshot was deleted: it is no generation any more. */
  forget(snapshotId: SnapshotId): void {
    this.#generations = this.#generations.filter((g) => g.snapshotId !== snapshotId);
  }

  /** Takes a long chain of files into one, in the background; `swap` performs the last step in its turn. */
  async collapse(swap: (step: () => Promise<void>) => Promise<void>): Promise<void> {
    const { parts, order } = this.#options;
    const from = this.#wakesFrom;
    if (from === undefined) return;
    try {
      const snapshot = await parts.snapshots.get(from);
      if (!needsCollapse(snapshot.manifest)) return;
      const made = await parts.snapshots.collapse(snapshot, newSnapshotId(), parts.rootfs);
      await swap(async () => {
        const current = this.#wakesFrom === from && this.#machine === undefined;
        if (current) this.#replace(from, made.id);
        await parts.snapshots.remove(current ? from : made.id);
      });
    } catch (error) {
      this.#log.warn("Cannot collapse a chain of snapshots", { id: order.id, error });
    }
  }

  /** Writes down what a later agent must know. */
  save(state: SandboxState, reason: EndReason | undefined): void {
    const { records, order, createdAt } = this.#options;
    if (state === "stopped" || state === "error") return records.remove(order.id);
    const machine = state === "hibernated" ? undefined : this.#machine;
    if (state === "starting" || this.#startedAt === undefined) return;
    records.write({
      id: order.id,
      executionId: order.executionId,
      state,
      spec: { ...order.spec, diskMb: this.#diskMb },
      createdAt,
      startedAt: this.#startedAt,
      generations: this.#generations,
      generation: this.#counter,
      machine: machine && {
        vmId: machine.vm.vmId,
        slot: machine.slot.index,
        booted: machine.booted,
        origin: machine.origin,
        templateHash: machine.template.hash,
        memory: machine.memory,
      },
      wakesFrom: this.#wakesFrom,
      reason,
    }, { durable: state === "hibernated" });
  }

  /** Takes one snapshot for another that holds the same. */
  #replace(from: SnapshotId, to: SnapshotId): void {
    const before = this.#generations;
    this.#wakesFrom = to;
    this.#generations = before.map((g) => g.snapshotId === from ? { ...g, snapshotId: to } : g);
    try {
      this.save("hibernated", undefined);
    } catch (error) {
      this.#wakesFrom = from;
      this.#generations = before;
      throw error;
    }
  }

  #begin(machine: Machine): void {
    this.adopt(machine);
    this.#standsStill = false;
  }

  #present(): Machine {
    if (this.#machine) return this.#machine;
    throw new Error("Sandbox has no machine");
  }

  /** The guest's clock stood still with its vCPUs. A guest that does not answer is running all the same. */
  async #goOn(machine: Machine): Promise<void> {
    await this.#run(machine);
    await this.#awake;
  }

  /** Lets the vCPUs run; the guest wakes up on the side. */
  async #run(machine: Machine): Promise<void> {
    await machine.vm.resume();
    this.#standsStill = false;
    const { parts, order, signal } = this.#options;
    this.#awake = wakeGuest(parts, machine, order.id, signal);
  }

  async #keep(snapshot: Snapshot, named: boolean): Promise<void> {
    const { manifest, id: snapshotId } = snapshot;
    const { generation, digest, bytes } = manifest;
    this.#counter = generation;
    const durableAt = this.#options.parts.clock.now();
    this.#generations.push({ generation, snapshotId, digest, bytes, durableAt, named });
    const surplus = this.#generations.filter((g) => !g.named).slice(0, -KEPT_GENERATIONS);
    for (const { snapshotId: old } of surplus) {
      this.#generations = this.#generations.filter((g) => g.snapshotId !== old);
      await this.#options.parts.snapshots.remove(old);
    }
  }

  /** Every capture adds a layer to a disk that goes on. */
  async #flatten(machine: Machine): Promise<void> {
    const { layers } = machine.disk;
    const keep = layers[SHARED_LAYERS - 1];
    if (layers.length <= MAX_LAYERS || keep === undefined) return;
    const { rootfs } = this.#options.parts;
    machine.disk = await rootfs.flatten(machine.disk, keep, machine.vm.layers);
  }
}
