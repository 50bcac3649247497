/** What start-up does to the host: forwarding, the host's table, removal of what dead agents left. */
import { sideBySide } from "@wrenn/common";
import type { Logger, RunCommand } from "@wrenn/common";
import type { SlotRange } from "../core/slot_allocator.ts";
import {
  conflictingRoutes,
  foreignForwardDrops,
  leftoverSlots,
  processesIn,
  requireTools,
} from "./host_checks.ts";
import { hostRuleset, hostRulesetRemoval, hostTable } from "./host_ruleset.ts";
import { waitForOrphans } from "./orphans.ts";
import { removeSlots, slotShell } from "./slot_script.ts";
import type { Slot } from "./slots.ts";

/** Removals wait for the kernel more than they work: so many go side by side. */
const REMOVALS = 8;
/** A builder works for milliseconds; one that takes this long is stuck. */
const ORPHANS_MS = 5_000;

/**
 * Prepares the host: forwarding and the agent's table, replaced in one transaction.
 *
 * @throws {Error} When a program is missing or we are not root.
 */
export async function prepareHost(run: RunCommand, range: SlotRange): Promise<void> {
  await requireTools(run);
  await run(["sh", "-eu"], { stdin: "echo 1 > /proc/sys/net/ipv4/ip_forward" });
  await run(["nft", "-f", "-"], { stdin: hostRuleset(hostTable(range.first)) });
}

/** Removes the agent's table. */
export async function removeHostTable(run: RunCommand, range: SlotRange): Promise<void> {
  await run(["nft", "-f", "-"], { stdin: hostRulesetRemoval(hostTable(range.first)) });
}

/** What {@linkcode sweepSlots} works with. */
export interface SlotSweep {
  readonly range: SlotRange;
  readonly run: RunCommand;
  readonly log: Logger;
  /** Slots that are not leftovers. */
  readonly known: (index: number) => boolean;
}

/**
 * Removes the slots of the range that are not known, once the programs of a dead agent have ended, which would make
 * more. Processes in a namespace are reported and left alone.
 */
export async function sweepSlots(sweep: SlotSweep): Promise<void> {
  const { range, run, log, known } = sweep;
  const pids = await waitForOrphans(slotShell(range).at(-1) ?? "", ORPHANS_MS);
  if (pids.length > 0) log.warn("Programs of a dead agent do not end", { pids });
  const left = (await leftoverSlots(run, range)).filter(({ index }) => !known(index));
  await sideBySide(left, REMOVALS, (slot) => sweepOne(sweep, slot));
}

async function sweepOne({ range, run, log }: SlotSweep, slot: Slot): Promise<void> {
  const { namespace } = slot;
  const pids = await processesIn(run, namespace);
  if (pids.length > 0) log.warn("Namespace of a leftover slot has processes", { namespace, pids });
  await run(slotShell(range), { stdin: removeSlots([slot]) });
  log.info("Removed a leftover slot", { namespace });
}

/** Logs what on this host may keep guests from the internet. Never throws. */
export async function reportConflicts(run: RunCommand, log: Logger): Promise<void> {
  try {
    const chains = await run(["nft", "-j", "list", "chains"]);
    for (const chain of foreignForwardDrops(chains.stdout)) {
      log.warn(
        "Another firewall drops forwarded packets by default: guests have no internet until it accepts 'veth-*'",
        { chain },
      );
    }
    const routes = await run(["ip", "-j", "-4", "route", "show"]);
    for (const route of conflictingRoutes(routes.stdout)) {
      log.warn("A route of this host overlaps the slots' addresses", { route });
    }
  } catch (error) {
    log.warn("Cannot look for other firewalls and routes on this host", { error });
  }
}
