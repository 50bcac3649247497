/** The timer that ends idle sandboxes. */
import { type Clock, logger } from "@wrenn/common";
import type { SandboxManager } from "./manager.ts";

const INTERVAL_MS = 500;

/** Looks at every sandbox twice a second until disposed of. */
export function startReaper(manager: Pick<SandboxManager, "tick">, clock: Clock): Disposable {
  const timer = setInterval(() => {
    try {
      manager.tick(clock.monotonic());
    } catch (error) {
      // One bad look must not end the looking.
      logger("agent", "reaper").error("Reaper failed", { error });
    }
  }, INTERVAL_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
