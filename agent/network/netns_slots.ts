/** Network slots as Linux network namespaces, with iproute2 and nftables. */
import { CommandError, type Logger, logger, type RunCommand, WrennError } from "@wrenn/common";
import { planEgress } from "../core/egress.ts";
import { SlotAllocator, type SlotRange } from "../core/slot_allocator.ts";
import { planSlot } from "../core/slot_plan.ts";
import {
  conflictingRoutes,
  foreignForwardDrops,
  leftoverSlots,
  processesIn,
  requireTools,
} from "./host_checks.ts";
import { hostRuleset, hostRulesetRemoval, hostTable } from "./host_ruleset.ts";
import { policyRuleset } from "./slot_ruleset.ts";
import { buildSlot, removeSlots } from "./slot_script.ts";
import type { NetworkPolicy, NetworkSlots, Slot } from "./slots.ts";

/** Options of {@linkcode NetnsSlots}. */
export interface NetnsSlotsOptions {
  /** This agent's share of the slot indexes. No other agent on the machine may use any of them. */
  readonly range: SlotRange;
  /** Runs programs as root in the network namespace that is the host. */
  readonly run: RunCommand;
  /** Where notices go; the category `agent, network` by default. */
  readonly log?: Logger;
}

/**
 * One namespace per slot. Claims run beside each other without a lock of ours. A guest of a fresh slot
 * reaches nothing until {@linkcode applyPolicy}.
 */
export class NetnsSlots implements NetworkSlots {
  readonly #range: SlotRange;
  readonly #run: RunCommand;
  readonly #log: Logger;
  readonly #free: SlotAllocator;
  readonly #table: string;
  readonly #claimed = new Map<number, Slot>();
  readonly #claims = new Set<Promise<void>>();
  readonly #releases = new Map<Slot, Promise<void>>();

  /** @throws {RangeError} When the range is empty or leaves 1 to 65534. */
  constructor(options: NetnsSlotsOptions) {
    this.#range = options.range;
    this.#run = options.run;
    this.#log = options.log ?? logger("agent", "network");
    this.#free = new SlotAllocator(options.range);
    this.#table = hostTable(options.range.first);
  }

  /**
   * Prepares the host. Everything that a dead agent left in the range is removed; processes are left alone
   * (the VMM driver ends its own first), and a namespace that still has some is reported.
   *
   * @throws {Error} When a program is missing or we are not root.
   */
  async start(): Promise<void> {
    await requireTools(this.#run);
    await this.#shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    await this.#run(["nft", "-f", "-"], { stdin: hostRuleset(this.#table) });
    await this.#sweep();
    await this.#reportConflicts().catch((error) =>
      this.#log.warn("Cannot look for other firewalls and routes on this host", { error })
    );
  }

  /** {@inheritDoc NetworkSlots.claim} */
  async claim(): Promise<Slot> {
    const claim = this.#claim();
    const settled = claim.then(() => {}, () => {});
    this.#claims.add(settled);
    try {
      return await claim;
    } finally {
      this.#claims.delete(settled);
    }
  }

  /** {@inheritDoc NetworkSlots.applyPolicy} */
  async applyPolicy(slot: Slot, policy: NetworkPolicy): Promise<void> {
    const stdin = policyRuleset(planEgress(policy));
    if (this.#claimed.get(slot.index) !== slot) {
      throw new Error(`Slot '${slot.namespace}' is not in use`);
    }
    await this.#run(["nsenter", `--net=/run/netns/${slot.namespace}`, "nft", "-f", "-"], { stdin });
  }

  /** {@inheritDoc NetworkSlots.release} */
  release(slot: Slot): Promise<void> {
    const running = this.#releases.get(slot);
    if (running !== undefined) return running;
    // The object, not the index, is the proof of ownership: the index may belong to another sandbox by then.
    if (this.#claimed.get(slot.index) !== slot) return Promise.resolve();
    const release = this.#remove(slot).finally(() => this.#releases.delete(slot));
    this.#releases.set(slot, release);
    return release;
  }

  /** {@inheritDoc NetworkSlots.inUse} */
  inUse(): number {
    return this.#claimed.size;
  }

  /** {@inheritDoc NetworkSlots.stop} */
  async stop(): Promise<void> {
    await Promise.all(this.#claims);
    const results = await Promise.allSettled(
      [...this.#claimed.values()].map((slot) => this.release(slot)),
    );
    await this.#run(["nft", "-f", "-"], { stdin: hostRulesetRemoval(this.#table) });
    const errors = results.flatMap((r) => r.status === "rejected" ? [r.reason] : []);
    if (errors.length > 0) throw new AggregateError(errors, "Cannot remove every network slot");
  }

  async #claim(): Promise<Slot> {
    for (let tries = this.#range.last - this.#range.first + 1; tries > 0; tries--) {
      const index = this.#free.take();
      if (index === undefined) break;
      const slot = planSlot(index);
      if (await this.#build(slot)) {
        this.#claimed.set(index, slot);
        return slot;
      }
    }
    throw new WrennError("capacity_exhausted", "No network slot is free on this host");
  }

  /** Builds a slot whose index was taken. False when its names were in use: try the next one. */
  async #build(slot: Slot): Promise<boolean> {
    try {
      await this.#shell(buildSlot(slot));
      return true;
    } catch (cause) {
      // A builder that outlived a killed agent may have made these names after the sweep.
      const taken = cause instanceof CommandError && cause.result.stderr.includes("File exists");
      const pids = taken ? await processesIn(this.#run, slot.namespace) : [];
      if (pids.length > 0) {
        const { namespace } = slot;
        this.#log.error("A slot is in use by others and stays out of use", { namespace, pids });
        return false;
      }
      const failed = new WrennError("internal", "Cannot build a network slot", { cause });
      await this.#shell(removeSlots([slot])).catch((error) => {
        throw new AggregateError([failed, error], "Cannot undo a half-built network slot");
      });
      this.#free.give(slot.index);
      if (!taken) throw failed;
      this.#log.warn("Removed a slot that nobody owned", { namespace: slot.namespace });
      return false;
    }
  }

  /** An index goes back only when its names are gone, so that no claim meets them. */
  async #remove(slot: Slot): Promise<void> {
    await this.#shell(removeSlots([slot]));
    this.#claimed.delete(slot.index);
    this.#free.give(slot.index);
  }

  async #sweep(): Promise<void> {
    const found = await leftoverSlots(this.#run, this.#range);
    for (const slot of found.filter((s) => this.#claimed.get(s.index) === undefined)) {
      const pids = await processesIn(this.#run, slot.namespace);
      if (pids.length > 0) {
        this.#log.warn("Namespace of a leftover slot has processes", {
          namespace: slot.namespace,
          pids,
        });
      }
      await this.#shell(removeSlots([slot]));
      this.#log.info("Removed a leftover slot", { namespace: slot.namespace });
    }
  }

  async #shell(script: string): Promise<void> {
    await this.#run(["sh", "-eu"], { stdin: script });
  }

  async #reportConflicts(): Promise<void> {
    const chains = await this.#run(["nft", "-j", "list", "chains"]);
    for (const chain of foreignForwardDrops(chains.stdout)) {
      this.#log.warn(
        "Another firewall drops forwarded packets by default: guests have no internet until it accepts 'veth-*'",
        { chain },
      );
    }
    const routes = await this.#run(["ip", "-j", "-4", "route", "show"]);
    for (const route of conflictingRoutes(routes.stdout)) {
      this.#log.warn("A route of this host overlaps the slots' addresses", { route });
    }
  }
}
