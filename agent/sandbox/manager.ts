/** All sandboxes of this host: the map that is the truth about what runs. */
import { logger, newSnapshotId, type SandboxId, type SnapshotId, WrennError } from "@wrenn/common";
import { type CapacityLimits, refuseCapacity } from "../core/capacity.ts";
import { isFinal } from "../core/sandbox_state.ts";
import type { Snapshot } from "../snapshot/mod.ts";
import type { GuestLease } from "./activity.ts";
import { type DriverOptions, SandboxDriver } from "./driver.ts";
import { faultPoint } from "./fault_point.ts";
import type { GoldenSnapshots } from "./golden.ts";
import type { HostFigures } from "./host_figures.ts";
import type { HostParts, Machine } from "./machine.ts";
import { Publisher } from "./publisher.ts";
import type { SandboxRecord, SandboxRecords } from "./records.ts";
import { fromSnapshot, fromTemplate, type Starter } from "./start.ts";
import type { EndReason, Generation, Restored, SandboxInfo, SandboxOrder } from "./types.ts";
import { type HostUsage, readUsage } from "./usage.ts";
import { requireUsable } from "./wake.ts";
import type { WarmPools } from "./warm_pool.ts";

/** What a manager needs. */
export interface ManagerOptions {
  readonly parts: HostParts;
  readonly records: SandboxRecords;
  readonly golden: GoldenSnapshots;
  readonly pools: WarmPools;
  readonly limits: CapacityLimits;
  readonly figures: () => HostFigures;
  /** How long a paused sandbox keeps its memory, seconds; 0 = until somebody resumes it. */
  readonly pausedSec: number;
}

/** A copy to make. */
export interface ForkChild {
  readonly id: SandboxId;
  readonly executionId: string;
}

/** How long sandboxes that ended are listed. */
export const REMEMBER_MS: number = 10 * 60 * 1000;

const DESTROYED: EndReason = { code: "canceled", message: "Destroyed by request" };
const AGENT_STOPS: EndReason = { code: "host_unavailable", message: "Host agent stops" };
const FORK_FAILED: EndReason = { code: "canceled", message: "Another copy of the fork failed" };
/** Below this free memory, beside the reserve, paused sandboxes hibernate; the one paused longest first. */
const PRESSURE_MB = 512;

/** Creates, finds and ends sandboxes. */
export class SandboxManager {
  readonly #options: ManagerOptions;
  readonly #boxes = new Map<SandboxId, SandboxDriver>();
  readonly #publisher = new Publisher<SandboxInfo>();
  #stopping = false;

  /** @param options Parts, limits and figures of this host. */
  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  /** Takes over what a dead agent left: before anything is asked of the manager. */
  found(record: SandboxRecord, machine: Machine | undefined): SandboxDriver {
    const { id, executionId, spec } = record;
    const origin = { kind: "found" as const, record, ...(machine ? { machine } : {}) };
    return this.#start({ id, executionId, spec }, origin);
  }

  /**
   * Creates a sandbox and answers when its guest does. Idempotent by id and execution: who asks again while it
   * starts waits for the same start. The start goes on when nobody waits for it any more.
   *
   * @param snapshotId Start from this snapshot, with its size, instead of the template.
   * @throws {WrennError} `conflict`, `capacity_exhausted`, `no_space`, `template_not_found`, `guest_unavailable`,
   * `snapshot_not_found`, `snapshot_corrupt`, `snapshot_incompatible`.
   */
  async create(order: SandboxOrder, snapshotId?: SnapshotId): Promise<SandboxDriver> {
    const known = this.#known(order);
    const box = known ??
      (snapshotId === undefined
        ? this.#add(order, fromTemplate(this.#options))
        : await this.#addFrom(order, snapshotId));
    await box.ready;
    return box;
  }

  /**
   * Makes copies of a sandbox, which goes on as it was. All of them come to life, or none. Copies that are there
   * already with their execution are taken as they are.
   *
   * @throws {WrennError} As {@linkcode create}; `sandbox_paused` when it is hibernated.
   */
  async fork(id: SandboxId, children: readonly ForkChild[]): Promise<SandboxDriver[]> {
    const source = this.get(id);
    const { spec } = source.info;
    const orders = children.map((child) => ({ ...child, spec }));
    const there = orders.map((order) => this.#known(order));
    if (there.every((box) => box !== undefined)) return await this.#allReady(there);
    this.#requireCapacity(spec.memoryMb * there.filter((box) => box === undefined).length);
    const snapshot = await source.capture(newSnapshotId(), "fork");
    try {
      await faultPoint("fork.captured");
      const boxes = await this.#addAll(orders, fromSnapshot(this.#options.parts, snapshot));
      await Promise.any(boxes.map((box) => box.ready)).catch(() => {});
      await faultPoint("fork.child");
      return await this.#allReady(boxes);
    } finally {
      await this.#options.parts.snapshots.remove(snapshot.id);
    }
  }

  /** Ends a sandbox. An unknown one has ended already. @throws {WrennError} `conflict` */
  async destroy(id: SandboxId, executionId: string): Promise<void> {
    await this.#boxes.get(id)?.destroy(executionId, DESTROYED);
  }

  /** @throws {WrennError} `sandbox_not_found` */
  get(id: SandboxId): SandboxDriver {
    const box = this.#boxes.get(id);
    if (box) return box;
    throw new WrennError("sandbox_not_found", `Sandbox '${id}' not found`);
  }

  /** Live sandboxes, and those that ended within the last ten minutes. */
  list(): SandboxInfo[] {
    return [...this.#boxes.values()].map((box) => box.info);
  }

  /** Changes of state from here on. */
  watch(signal: AbortSignal): AsyncGenerator<SandboxInfo, void, undefined> {
    return this.#publisher.subscribe(signal);
  }

  /** @throws {WrennError} `sandbox_not_found`, `sandbox_not_running`, `sandbox_paused` */
  ping(id: SandboxId): SandboxInfo {
    const box = this.get(id);
    box.ping();
    return box.info;
  }

  /** The guest of a running sandbox, for one operation. @throws As {@linkcode ping}. */
  use(id: SandboxId): GuestLease {
    return this.get(id).use();
  }

  /**
   * Keeps a sandbox's present moment as a snapshot that stays until it is deleted. The same id again answers with
   * the snapshot that is there.
   */
  async snapshot(id: SandboxId, snapshotId: SnapshotId): Promise<Snapshot> {
    const { snapshots } = this.#options.parts;
    const box = this.get(id);
    const there = (await snapshots.list()).find((s) => s.id === snapshotId);
    if (there === undefined) return await box.capture(snapshotId, "named");
    if (there.manifest.kind === "named" && there.manifest.sandbox_id === id) return there;
    throw new WrennError("already_exists", `Snapshot '${snapshotId}' is of another sandbox`);
  }

  /** Snapshots that somebody asked for. */
  async snapshots(): Promise<Snapshot[]> {
    const all = await this.#options.parts.snapshots.list();
    return all.filter(({ manifest }) => manifest.kind === "named");
  }

  /** Deletes a snapshot that somebody asked for. Idempotent. */
  async deleteSnapshot(snapshotId: SnapshotId): Promise<void> {
    const found = (await this.snapshots()).find((s) => s.id === snapshotId);
    if (found === undefined) return;
    for (const box of this.#boxes.values()) box.forget(snapshotId);
    await this.#options.parts.snapshots.remove(snapshotId);
  }

  /** Generations of a sandbox, newest first. */
  generations(id: SandboxId): readonly Generation[] {
    return this.get(id).generations;
  }

  /** Puts a sandbox back to one of its generations. */
  async rollback(id: SandboxId, generation: number): Promise<Restored> {
    return await this.get(id).rollback(generation);
  }

  /** Expires idle sandboxes, forgets those that ended long ago, gives memory back when the host is short. */
  tick(nowMs: number): void {
    for (const [id, box] of this.#boxes) {
      box.expireWhenIdle(nowMs);
      if (box.endedAtMs !== undefined && nowMs - box.endedAtMs >= REMEMBER_MS) {
        this.#boxes.delete(id);
      }
    }
    this.#relievePressure();
  }

  /** What this host and each of its sandboxes use. */
  async usage(): Promise<HostUsage> {
    const { parts, figures, pools } = this.#options;
    return await readUsage(this.#live(), { parts, figures: figures(), pools });
  }

  /** Ends every sandbox but the hibernated ones, and every watch, and takes no more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#boxes.values()].map(async (box) => {
      if (box.info.state !== "hibernated") await box.destroy("", AGENT_STOPS);
    }));
    this.#publisher.end();
  }

  /** The sandbox that a create request means, when there is one. */
  #known(order: SandboxOrder): SandboxDriver | undefined {
    const box = this.#boxes.get(order.id);
    if (box === undefined) return undefined;
    const admission = box.admit({ kind: "create", executionId: order.executionId });
    if (admission.kind === "accept") return undefined;
    if (admission.kind !== "deny") return box;
    // A start that failed fails again for whoever asks again.
    if (box.startFailure && box.info.executionId === order.executionId) throw box.startFailure;
    throw new WrennError(admission.code, `Sandbox '${order.id}' ${admission.reason}`);
  }

  async #addFrom(order: SandboxOrder, snapshotId: SnapshotId): Promise<SandboxDriver> {
    const { parts } = this.#options;
    const snapshot = await parts.snapshots.get(snapshotId);
    await requireUsable(parts, snapshot);
    const { manifest } = snapshot;
    const spec = {
      ...order.spec,
      template: manifest.template.name,
      vcpus: manifest.vcpus,
      memoryMb: manifest.memory_mb,
      diskMb: manifest.disk_mb,
    };
    // Somebody may have asked for the same meanwhile.
    return this.#known(order) ?? this.#add({ ...order, spec }, fromSnapshot(parts, snapshot));
  }

  /** Adds those that somebody who asked for the same has not added meanwhile. */
  async #addAll(orders: readonly SandboxOrder[], starter: Starter): Promise<SandboxDriver[]> {
    const boxes: SandboxDriver[] = [];
    try {
      for (const order of orders) boxes.push(this.#known(order) ?? this.#add(order, starter));
      return boxes;
    } catch (error) {
      await this.#giveUp(boxes);
      throw error;
    }
  }

  #add(order: SandboxOrder, starter: Starter): SandboxDriver {
    if (this.#stopping) throw new WrennError("unavailable", "Host agent stops");
    this.#requireCapacity(order.spec.memoryMb);
    return this.#start(order, { kind: "start", starter });
  }

  #start(order: SandboxOrder, origin: DriverOptions["origin"]): SandboxDriver {
    const { parts, records, pausedSec } = this.#options;
    const box = new SandboxDriver({
      ...{ parts, records, order, origin, pausedSec },
      publish: (info) => this.#publisher.publish(info),
    });
    this.#boxes.set(order.id, box);
    return box;
  }

  #requireCapacity(memoryMb: number): void {
    // A hibernated sandbox has no memory.
    const live = this.#live().filter((box) => box.info.state !== "hibernated");
    const memory = (of: readonly SandboxDriver[]): number =>
      of.reduce((sum, box) => sum + box.info.spec.memoryMb, 0);
    const refusal = refuseCapacity(memoryMb, {
      ...this.#options.figures(),
      live: live.length,
      promisedMb: memory(live),
      startingMb: memory(live.filter((box) => box.info.state === "starting")),
    }, this.#options.limits);
    if (refusal) throw new WrennError(refusal.code, refusal.message);
  }

  /** Waits for all; when one fails, ends the others and throws why. */
  async #allReady(boxes: SandboxDriver[]): Promise<SandboxDriver[]> {
    const settled = await Promise.allSettled(boxes.map((box) => box.ready));
    const failed = settled.find((result) => result.status === "rejected");
    if (failed === undefined) return boxes;
    await this.#giveUp(boxes);
    throw failed.reason;
  }

  async #giveUp(boxes: readonly SandboxDriver[]): Promise<void> {
    await Promise.all(boxes.map((box) => box.destroy("", FORK_FAILED)));
  }

  /** Warm machines go first, then the memory of what is paused. */
  #relievePressure(): void {
    const { figures, limits, pools } = this.#options;
    if (figures().memoryAvailableMb > limits.memoryReserveMb + PRESSURE_MB) return;
    void pools.shed(1).then((dropped) => {
      if (dropped > 0) return;
      const paused = [...this.#boxes.values()].filter((box) => box.pausedSinceMs !== undefined)
        .sort((a, b) => (a.pausedSinceMs ?? 0) - (b.pausedSinceMs ?? 0));
      return paused[0]?.hibernate();
    }).catch((error: unknown) =>
      logger("agent", "sandbox").warn("Cannot give memory back", { error })
    );
  }

  #live(): SandboxDriver[] {
    return [...this.#boxes.values()].filter((box) => !isFinal(box.info.state));
  }
}
