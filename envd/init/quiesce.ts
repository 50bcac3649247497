/** Standing still for a snapshot, and becoming nobody's. */
import { delay } from "@wrenn/common/clock";
import { logger } from "@wrenn/common/log";
import type { Machine } from "../linux/machine.ts";
import type { ProcessManager } from "../process/manager.ts";
import { rehearseCopy } from "./fork.ts";
import type { GuestState } from "./state.ts";

/** What is stopped and cleared. */
export interface QuiesceParts {
  readonly state: GuestState;
  readonly manager: ProcessManager;
  readonly machine: Machine;
  /** Called when the guest has become nobody's: what goes by the clock can rest. */
  readonly onSeal?: () => void;
}

/** File systems that do not get written out in this time are told of. */
const SYNC_LIMIT_MS = 2_000;

/**
 * Freezes the processes, until the next init, and writes the file systems out.
 *
 * @returns How many were frozen, and whether everything was written.
 */
export async function quiesce(
  { state, machine }: Pick<QuiesceParts, "state" | "machine">,
  { sync }: { sync: boolean },
): Promise<{ frozen: number; synced: boolean }> {
  state.frozen = true;
  const frozen = await machine.freeze();
  // Counted here once: a copy would read the kernel's tables with code that nobody has translated yet.
  state.connections = machine.foreignConnections();
  if (!sync) return { frozen, synced: false };
  const late = new AbortController();
  const synced = await Promise.race([
    machine.sync().then(() => true),
    delay(SYNC_LIMIT_MS, late.signal).then(() => false, () => false),
  ]);
  late.abort();
  if (!synced) logger("envd", "quiesce").warn("File systems are still being written");
  return { frozen, synced };
}

/** Ends every process and forgets whose the guest was; it waits for a first init again. */
export async function seal({ state, manager, machine, onSeal }: QuiesceParts): Promise<void> {
  state.seal();
  await manager.endAll();
  await rehearseCopy(state);
  await machine.clear();
  onSeal?.();
}
