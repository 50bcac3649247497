/** Ending a VMM whatever its disk does. */
import { delay, logger } from "@wrenn/common";
import type { RootfsStore } from "../rootfs/store.ts";
import type { Machine } from "./machine.ts";

/** A VMM that has not ended by then may wait for its disk. */
const HELD_LOOK_MS = 1000;
const log = logger("agent", "machine");

/** Ends the VMM of a machine, also one whose I/O waits for room on the host's disk. */
export async function endVm(
  { rootfs }: { readonly rootfs: Pick<RootfsStore, "failHeld"> },
  machine: { readonly vm: Pick<Machine["vm"], "vmId" | "kill">; readonly disk: Machine["disk"] },
  lookMs: number = HELD_LOOK_MS,
): Promise<void> {
  let ended = false;
  const ending = machine.vm.kill().finally(() => ended = true);
  while (!ended) {
    const look = new AbortController();
    try {
      await Promise.race([ending, delay(lookMs, look.signal).catch(() => {})]);
    } finally {
      look.abort();
    }
    if (ended) break;
    await rootfs.failHeld(machine.disk).catch((error: unknown) =>
      log.error("Cannot let the I/O of a machine fail", { vmId: machine.vm.vmId, error })
    );
  }
  await ending;
}
