/** Around a machine's standstill: its guest is frozen before and told the time afterwards. Both are best effort. */
import { logger, type SandboxId } from "@wrenn/common";
import { wakeIdentity } from "./identity.ts";
import type { HostParts, Machine } from "./machine.ts";

const QUIESCE_LIMIT_MS = 5_000;
const WAKE_LIMIT_MS = 10_000;

const log = logger("agent", "sandbox");

/** Freezes a guest and syncs its disks; false for one that does not answer, which is stopped all the same. */
export async function quiesceGuest({ guest }: Machine, id: SandboxId): Promise<boolean> {
  try {
    return (await guest.quiesce({ sync: true }, AbortSignal.timeout(QUIESCE_LIMIT_MS))).synced;
  } catch (error) {
    log.warn("Guest cannot be frozen", { id, error });
    return false;
  }
}

/** Thaws a guest whose vCPUs run again. Never rejects: a guest that does not answer is running all the same. */
export async function wakeGuest(
  parts: HostParts,
  machine: Machine,
  id: SandboxId,
  signal: AbortSignal,
): Promise<void> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(WAKE_LIMIT_MS)]);
  try {
    await wakeIdentity(parts, machine, limited);
  } catch (error) {
    if (!signal.aborted) log.warn("Cannot wake a resumed guest", { id, error });
  }
}
