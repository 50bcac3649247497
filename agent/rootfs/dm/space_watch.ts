/** Holding writes back while a host is nearly out of disk space. */
import { delay, type Logger, logger } from "@wrenn/common";
import { holdsBack, nextLookMs } from "../../core/space_pressure.ts";
import type { DmHealth } from "./health.ts";

/** What could not be looked at is looked at again after this time. */
const FAILED_MS = 1000;

/** Options of {@linkcode watchSpace}. */
export interface SpaceWatchOptions {
  /** Whose disks. */
  readonly health: Pick<DmHealth, "freeMb" | "hold" | "mendAll">;
  /** The store's reserve, MiB. */
  readonly reserveMb: number;
  /** Ends it; writes that are held back go on. */
  readonly signal: AbortSignal;
  /** Waits; another one in tests. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Where notices go; the category `agent, rootfs` by default. */
  readonly log?: Logger;
}

/**
 * Watches the space until it is told to end: lets all disks wait when half of the reserve is used up, and go on when
 * it is whole again. Disks that were lost in spite of it are mended then.
 */
export async function watchSpace(options: SpaceWatchOptions): Promise<void> {
  const { health, reserveMb, signal, wait = delay } = options;
  const log = options.log ?? logger("agent", "rootfs");
  let held = false;
  while (!signal.aborted) {
    let nextMs = FAILED_MS;
    try {
      const freeMb = await health.freeMb();
      nextMs = nextLookMs(freeMb, reserveMb);
      const hold = holdsBack(held, freeMb, reserveMb);
      // Again and again: disks come up meanwhile.
      if (hold || held) await health.hold(hold);
      if (hold !== held) log.warn("Disk space", { held: hold, freeMb });
      if (held && !hold) await health.mendAll();
      held = hold;
    } catch (error) {
      log.error("Cannot watch the disk space", { error });
    }
    await wait(nextMs, signal).catch(() => {});
  }
  if (held) await health.hold(false);
}
