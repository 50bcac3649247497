/** Network slots as Linux network namespaces, with iproute2 and nftables. */
import {
  type Clock,
  type Logger,
  logger,
  type RunCommand,
  systemClock,
  WrennError,
} from "@wrenn/common";
import { CLOSED_POLICY, planEgress, samePolicy } from "../core/egress.ts";
import { type EgressBatch, egressBatch } from "../core/egress_batch.ts";
import type { SlotRange } from "../core/slot_allocator.ts";
import { planSlot } from "../core/slot_plan.ts";
import { SlotPool } from "../core/slot_pool.ts";
import { prepareHost, removeHostTable, reportConflicts, sweepSlots } from "./host_setup.ts";
import { transact } from "./netfilter.ts";
import { Refill, type RefillStep } from "./refill.ts";
import { inspectSlots, referenceRules } from "./slot_inspection.ts";
import { type BuildResult, SlotMaker, Tally } from "./slot_maker.ts";
import type {
  NetworkPolicy,
  NetworkSlots,
  Slot,
  SlotFigures,
  SlotsStartOptions,
  SlotsStopOptions,
} from "./slots.ts";

/** Options of {@linkcode NetnsSlots}. */
export interface NetnsSlotsOptions {
  /** This agent's share of the slot indexes. No other agent on the machine may use any of them. */
  readonly range: SlotRange;
  /** Runs programs as root in the network namespace that is the host. */
  readonly run: RunCommand;
  /** How many slots are kept built ahead of claims; 0 by default. */
  readonly ready?: number;
  /** Where notices go; the category `agent, network` by default. */
  readonly log?: Logger;
  /** Measures work; the machine's clock by default. */
  readonly clock?: Clock;
}

/** A sandbox's slot. */
interface Claimed {
  readonly slot: Slot;
  /** In force; undefined when it is not known or about to change. */
  policy: NetworkPolicy | undefined;
  /** How many policies were to be written. */
  writes: number;
  /** Settles when the last of them is written or has failed. */
  written: Promise<void>;
  /** Settles when no socket of ours holds the namespace. */
  closed: Promise<void>;
}

function claimedSlot(slot: Slot, policy: NetworkPolicy | undefined): Claimed {
  return { slot, policy, writes: 0, written: Promise.resolve(), closed: Promise.resolve() };
}

/**
 * One namespace per slot. Claims run beside each other without a lock of ours. A guest of a fresh slot reaches nothing
 * until {@linkcode applyPolicy}.
 */
export class NetnsSlots implements NetworkSlots {
  readonly #range: SlotRange;
  readonly #run: RunCommand;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #pool: SlotPool;
  readonly #maker: SlotMaker;
  readonly #claimed = new Map<number, Claimed>();
  /** Claims and takeovers on their way. */
  readonly #pending = new Set<Promise<unknown>>();
  readonly #releases = new Map<Slot, Promise<void>>();
  readonly #policies = new Tally();
  #refill: Refill;
  /** Rules of a slot that is whole. */
  #reference: string | undefined;
  #stopped = false;
  #claimsReady = 0;
  #claimsBuilt = 0;
  #policiesUnchanged = 0;

  /** @throws {RangeError} When the range is empty or leaves 1 to 65534, or `ready` is not a whole number. */
  constructor(options: NetnsSlotsOptions) {
    this.#range = options.range;
    this.#run = options.run;
    this.#log = options.log ?? logger("agent", "network");
    this.#clock = options.clock ?? systemClock;
    this.#pool = new SlotPool(options.range, options.ready);
    this.#maker = new SlotMaker({
      range: options.range,
      run: options.run,
      log: this.#log,
      clock: this.#clock,
    });
    this.#refill = new Refill(() => this.#fillOne());
  }

  /**
   * {@inheritDoc NetworkSlots.start}
   *
   * Processes in leftover namespaces are left alone (the VMM driver ends its own first), and a namespace that still
   * has some is reported.
   *
   * @throws {Error} When a program is missing or we are not root.
   */
  async start(options: SlotsStartOptions = {}): Promise<void> {
    await prepareHost(this.#run, this.#range);
    const kept = [...options.keep ?? []].filter((index) => this.#pool.keep(index));
    const known = (index: number): boolean => this.#pool.state(index) !== undefined;
    await sweepSlots({ range: this.#range, run: this.#run, log: this.#log, known });
    if (kept.length > 0) await this.#report(kept.map(planSlot));
    await reportConflicts(this.#run, this.#log);
    if (this.#stopped) {
      this.#stopped = false;
      this.#refill = new Refill(() => this.#fillOne());
    }
    this.#refill.kick();
  }

  /** {@inheritDoc NetworkSlots.adopt} */
  adopt(index: number): Promise<Slot> {
    return this.#track(this.#adopt(index));
  }

  /** {@inheritDoc NetworkSlots.claim} */
  claim(): Promise<Slot> {
    return this.#track(this.#claim());
  }

  /** {@inheritDoc NetworkSlots.applyPolicy} */
  async applyPolicy(slot: Slot, policy: NetworkPolicy): Promise<void> {
    const claimed = this.#claimed.get(slot.index);
    if (claimed?.slot !== slot) throw new Error(`Slot '${slot.namespace}' is not in use`);
    if (claimed.policy && samePolicy(claimed.policy, policy)) {
      this.#policiesUnchanged++;
      return;
    }
    const batch = egressBatch(planEgress(policy));
    const copy = structuredClone(policy);
    claimed.policy = undefined;
    const turn = ++claimed.writes;
    const written = claimed.written.then(() => this.#write(claimed, batch));
    claimed.written = written.catch(() => {});
    await written;
    if (claimed.writes === turn) claimed.policy = copy;
  }

  /** {@inheritDoc NetworkSlots.release} */
  release(slot: Slot): Promise<void> {
    const running = this.#releases.get(slot);
    if (running !== undefined) return running;
    // The object, not the index, is the proof of ownership: the index may belong to another sandbox by then.
    const claimed = this.#claimed.get(slot.index);
    if (claimed?.slot !== slot) return Promise.resolve();
    const release = this.#release(claimed).finally(() => this.#releases.delete(slot));
    this.#releases.set(slot, release);
    return release;
  }

  /** {@inheritDoc NetworkSlots.inUse} */
  inUse(): number {
    return this.#claimed.size;
  }

  /** {@inheritDoc NetworkSlots.ready} */
  ready(): number {
    return this.#pool.count("ready");
  }

  /** {@inheritDoc NetworkSlots.figures} */
  figures(): SlotFigures {
    return {
      claimed: this.inUse(),
      ready: this.ready(),
      kept: this.#pool.count("kept"),
      lost: this.#pool.count("lost"),
      claimsReady: this.#claimsReady,
      claimsBuilt: this.#claimsBuilt,
      builds: this.#maker.builds.figures(),
      buildFailures: this.#maker.failures,
      removals: this.#maker.removals.figures(),
      policies: this.#policies.figures(),
      policiesUnchanged: this.#policiesUnchanged,
    };
  }

  /** {@inheritDoc NetworkSlots.stop} */
  async stop(options: SlotsStopOptions = {}): Promise<void> {
    this.#stopped = true;
    await Promise.all([this.#refill.stop(), ...this.#pending]);
    const results = await Promise.allSettled([
      ...[...this.#claimed.values()].flatMap(({ slot }) =>
        options.keep?.has(slot.index) ? [] : [this.release(slot)]
      ),
      ...this.#pool.list("ready").map((index) => this.#discard(index, "ready")),
    ]);
    const errors = results.flatMap((r) => r.status === "rejected" ? [r.reason] : []);
    const others = this.#pool.count("claimed") + this.#pool.count("kept");
    if (others === 0) await removeHostTable(this.#run, this.#range);
    if (errors.length > 0) throw new AggregateError(errors, "Cannot remove every network slot");
  }

  async #write(claimed: Claimed, { bytes, messages }: EgressBatch): Promise<void> {
    const began = this.#clock.monotonic();
    try {
      const { accepted, errors, closed } = await transact(claimed.slot.namespace, bytes);
      claimed.closed = Promise.all([claimed.closed, closed]).then(() => {});
      if (accepted !== messages) throw new Error(`Kernel refused it: error ${errors.join(", ")}`);
    } catch (cause) {
      throw new WrennError("internal", "Cannot put a network policy in force", { cause });
    }
    this.#policies.add(this.#clock.monotonic() - began);
  }

  async #claim(): Promise<Slot> {
    this.#refuseWhenStopped();
    let tries = this.#range.last - this.#range.first + 1;
    while (tries > 0) {
      const taken = this.#pool.take();
      if (taken === undefined) {
        // The last free index may be on its way into the pool.
        if (await this.#refill.settled()) continue;
        // So may those of machines that have just ended.
        if (this.#releases.size === 0) break;
        await Promise.allSettled(this.#releases.values());
        continue;
      }
      const slot = planSlot(taken.index);
      if (taken.ready) {
        this.#claimsReady++;
        this.#refill.kick();
      } else if (this.#settle(taken.index, await this.#maker.build(slot), "claimed")) {
        this.#claimsBuilt++;
      } else {
        tries--;
        continue;
      }
      this.#claimed.set(slot.index, claimedSlot(slot, CLOSED_POLICY));
      return slot;
    }
    throw new WrennError("capacity_exhausted", "No network slot is free on this host");
  }

  async #adopt(index: number): Promise<Slot> {
    this.#refuseWhenStopped();
    if (!this.#pool.work(index, "kept")) {
      throw new WrennError("not_found", `Network slot '${index}' was not kept`);
    }
    const slot = planSlot(index);
    let faults: string[];
    try {
      faults = (await this.#inspect([slot])).get(slot) ?? [];
    } catch (cause) {
      this.#pool.settle(index, "kept");
      throw new WrennError("internal", "Cannot look at the sandbox's network slot", { cause });
    }
    if (faults.length > 0) {
      await this.#discard(index, "working");
      throw new WrennError("internal", "Network slot of the sandbox is not whole", {
        cause: new Error(`Slot '${slot.namespace}' is wrong: ${faults.join(", ")}`),
      });
    }
    this.#pool.settle(index, "claimed");
    this.#claimed.set(index, claimedSlot(slot, undefined));
    return slot;
  }

  /** Builds one slot ahead of claims. */
  async #fillOne(): Promise<RefillStep> {
    const index = this.#pool.fill();
    if (index === undefined) return "idle";
    try {
      const result = await this.#maker.build(planSlot(index));
      return this.#settle(index, result, "ready") || result.outcome === "taken" ? "done" : "failed";
    } catch (error) {
      this.#log.warn("Cannot build a network slot ahead of its claim", { index, error });
      return "failed";
    }
  }

  /** Books what came of a build: true when the slot is there, false when another index must do. Throws its error. */
  #settle(index: number, result: BuildResult, built: "claimed" | "ready"): boolean {
    switch (result.outcome) {
      case "built":
        this.#pool.settle(index, built);
        return true;
      case "taken":
        this.#pool.settle(index, "free");
        return false;
      case "failed":
        this.#pool.settle(index, "free");
        throw result.error;
      case "lost":
        this.#pool.settle(index, "lost");
        if (result.error) throw result.error;
        return false;
    }
  }

  /** An index goes back only when its names are gone, so that no claim meets them. */
  async #release(claimed: Claimed): Promise<void> {
    const { slot } = claimed;
    await claimed.written;
    await claimed.closed;
    await this.#maker.remove(slot);
    this.#claimed.delete(slot.index);
    this.#pool.work(slot.index, "claimed");
    this.#pool.settle(slot.index, "free");
    this.#refill.kick();
  }

  /** Removes a slot that is nobody's. */
  async #discard(index: number, from: "ready" | "working"): Promise<void> {
    if (from === "ready") this.#pool.work(index, "ready");
    try {
      await this.#maker.remove(planSlot(index));
      this.#pool.settle(index, "free");
    } catch (error) {
      this.#pool.settle(index, "lost");
      throw error;
    }
  }

  /** Says early what a takeover is going to meet. Never throws. */
  async #report(kept: readonly Slot[]): Promise<void> {
    try {
      for (const [{ namespace }, faults] of await this.#inspect(kept)) {
        if (faults.length > 0) this.#log.warn("A kept slot is not whole", { namespace, faults });
      }
    } catch (error) {
      this.#log.warn("Cannot look at the kept slots", { error });
    }
  }

  async #inspect(slots: readonly Slot[]): Promise<Map<Slot, string[]>> {
    this.#reference ??= await referenceRules(this.#run);
    return await inspectSlots(this.#run, slots, this.#reference);
  }

  #refuseWhenStopped(): void {
    if (this.#stopped) throw new WrennError("unavailable", "Network of this host is shut down");
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(() => {}, () => {});
    this.#pending.add(settled);
    try {
      return await work;
    } finally {
      this.#pending.delete(settled);
    }
  }
}
