/** All sandboxes of this host: the map that is the truth about what runs. */
import { logger, type SandboxId, WrennError } from "@wrenn/common";
import { type CapacityLimits, refuseCapacity } from "../core/capacity.ts";
import { isFinal } from "../core/sandbox_state.ts";
import { type GuestLease, SandboxDriver } from "./driver.ts";
import type { HostFigures } from "./host_figures.ts";
import { Publisher } from "./publisher.ts";
import type { HostParts } from "./start.ts";
import type { EndReason, SandboxInfo, SandboxOrder } from "./types.ts";

/** What a manager needs. */
export interface ManagerOptions {
  readonly parts: HostParts;
  readonly limits: CapacityLimits;
  readonly figures: () => HostFigures;
}

/** What one sandbox uses. */
export interface SandboxUsage {
  readonly id: SandboxId;
  readonly cpuMs: number;
  readonly memoryRssMb: number;
  readonly diskUsedMb: number;
}

/** What this host uses. */
export interface HostUsage {
  readonly live: number;
  readonly running: number;
  readonly paused: number;
  readonly slotsInUse: number;
  readonly memoryUsedMb: number;
  readonly diskFreeMb: number;
  readonly sandboxes: readonly SandboxUsage[];
}

/** How long sandboxes that ended are listed. */
export const REMEMBER_MS: number = 10 * 60 * 1000;

const DESTROYED: EndReason = { code: "canceled", message: "Destroyed by request" };
const AGENT_STOPS: EndReason = { code: "host_unavailable", message: "Host agent stops" };

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

  /**
   * Creates a sandbox and answers when its guest does. Idempotent by id and execution: who asks again while it
   * starts waits for the same start. The start goes on when nobody waits for it any more.
   *
   * @throws {WrennError} `conflict`, `capacity_exhausted`, `no_space`, `template_not_found`, `guest_unavailable`.
   */
  async create(order: SandboxOrder): Promise<SandboxInfo> {
    const box = this.#known(order) ?? this.#add(order);
    await box.ready;
    return box.info;
  }

  /** Ends a sandbox. An unknown one has ended already. @throws {WrennError} `conflict` */
  async destroy(id: SandboxId, executionId: string): Promise<void> {
    await this.#boxes.get(id)?.destroy(executionId, DESTROYED);
  }

  /** @throws {WrennError} `sandbox_not_found` */
  get(id: SandboxId): SandboxInfo {
    return this.#box(id).info;
  }

  /** Live sandboxes, and those that ended within the last ten minutes. */
  list(): SandboxInfo[] {
    return [...this.#boxes.values()].map((box) => box.info);
  }

  /** Changes of state from here on. */
  watch(signal: AbortSignal): AsyncGenerator<SandboxInfo, void, undefined> {
    return this.#publisher.subscribe(signal);
  }

  /** @throws {WrennError} `sandbox_not_found`, `sandbox_not_running` */
  async pause(id: SandboxId): Promise<SandboxInfo> {
    const box = this.#box(id);
    await box.pause();
    return box.info;
  }

  /** @throws {WrennError} `sandbox_not_found`, `sandbox_not_running` */
  async resume(id: SandboxId): Promise<SandboxInfo> {
    const box = this.#box(id);
    await box.resume();
    return box.info;
  }

  /** @throws {WrennError} `sandbox_not_found`, `sandbox_not_running`, `sandbox_paused` */
  ping(id: SandboxId): SandboxInfo {
    const box = this.#box(id);
    box.ping();
    return box.info;
  }

  /** The guest of a running sandbox, for one operation. @throws As {@linkcode ping}. */
  use(id: SandboxId): GuestLease {
    return this.#box(id).use();
  }

  /** Expires idle sandboxes and forgets those that ended long ago. Cheap: no I/O. */
  tick(nowMs: number): void {
    for (const [id, box] of this.#boxes) {
      box.expireWhenIdle(nowMs);
      if (box.endedAtMs !== undefined && nowMs - box.endedAtMs >= REMEMBER_MS) {
        this.#boxes.delete(id);
      }
    }
  }

  /** What this host and each of its sandboxes use. A machine that ends meanwhile is left out. */
  async usage(): Promise<HostUsage> {
    const { parts, figures } = this.#options;
    const live = this.#live();
    const sandboxes = await Promise.all(live.map(async (box): Promise<SandboxUsage[]> => {
      try {
        const { id } = box.info;
        const [stats, diskUsedMb] = await Promise.all([box.stats(), parts.rootfs.usedMb(id)]);
        return stats === undefined ? [] : [{ id, ...stats, diskUsedMb }];
      } catch (error) {
        logger("agent", "sandbox").debug("No figures of a sandbox", { id: box.info.id, error });
        return [];
      }
    }));
    const host = figures();
    const inState = (state: string): number =>
      live.filter((box) => box.info.state === state).length;
    return {
      live: live.length,
      running: inState("running"),
      paused: inState("paused"),
      slotsInUse: parts.slots.inUse(),
      memoryUsedMb: host.memoryTotalMb - host.memoryAvailableMb,
      diskFreeMb: host.diskFreeMb,
      sandboxes: sandboxes.flat(),
    };
  }

  /** Ends every sandbox and every watch, and takes no more. Resolves when nothing is left. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#boxes.values()].map((box) => box.destroy("", AGENT_STOPS)));
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

  #add(order: SandboxOrder): SandboxDriver {
    if (this.#stopping) throw new WrennError("unavailable", "Host agent stops");
    const live = this.#live();
    const memory = (of: readonly SandboxDriver[]): number =>
      of.reduce((sum, box) => sum + box.info.spec.memoryMb, 0);
    const refusal = refuseCapacity(order.spec.memoryMb, {
      ...this.#options.figures(),
      live: live.length,
      promisedMb: memory(live),
      startingMb: memory(live.filter((box) => box.info.state === "starting")),
    }, this.#options.limits);
    if (refusal) throw new WrennError(refusal.code, refusal.message);
    const box = new SandboxDriver({
      parts: this.#options.parts,
      order,
      publish: (info) => this.#publisher.publish(info),
    });
    this.#boxes.set(order.id, box);
    return box;
  }

  #live(): SandboxDriver[] {
    return [...this.#boxes.values()].filter((box) => !isFinal(box.info.state));
  }

  #box(id: SandboxId): SandboxDriver {
    const box = this.#boxes.get(id);
    if (box) return box;
    throw new WrennError("sandbox_not_found", `Sandbox '${id}' not found`);
  }
}
