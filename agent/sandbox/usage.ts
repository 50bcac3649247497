/** What this host and each of its sandboxes use. */
import { logger, type SandboxId } from "@wrenn/common";
import type { SandboxDriver } from "./driver.ts";
import type { HostFigures } from "./host_figures.ts";
import type { HostParts } from "./machine.ts";
import type { SpareFigures } from "./spares.ts";
import type { PoolFigures, WarmPools } from "./warm_pool.ts";

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
  readonly hibernated: number;
  readonly slotsInUse: number;
  readonly memoryUsedMb: number;
  readonly diskFreeMb: number;
  readonly sandboxes: readonly SandboxUsage[];
  readonly pools: readonly PoolFigures[];
  readonly spares: SpareFigures;
}

const NO_SPARES: SpareFigures = { ready: 0, target: 0, hits: 0, misses: 0 };

/** Reads the figures. A machine that ends meanwhile is left out; a hibernated sandbox has none. */
export async function readUsage(
  live: readonly SandboxDriver[],
  { parts, figures, pools }: {
    parts: Pick<HostParts, "rootfs" | "slots" | "spares">;
    figures: HostFigures;
    pools: Pick<WarmPools, "figures">;
  },
): Promise<HostUsage> {
  const sandboxes = await Promise.all(live.map(async (box): Promise<SandboxUsage[]> => {
    if (box.info.state === "hibernated") return [];
    try {
      const [stats, diskUsedMb] = await Promise.all([box.stats(), parts.rootfs.usedMb(box.id)]);
      return stats === undefined ? [] : [{ id: box.id, ...stats, diskUsedMb }];
    } catch (error) {
      logger("agent", "sandbox").debug("No figures of a sandbox", { id: box.id, error });
      return [];
    }
  }));
  const inState = (state: string): number => live.filter((box) => box.info.state === state).length;
  return {
    live: live.length,
    running: inState("running"),
    paused: inState("paused"),
    hibernated: inState("hibernated"),
    slotsInUse: parts.slots.inUse(),
    memoryUsedMb: figures.memoryTotalMb - figures.memoryAvailableMb,
    diskFreeMb: figures.diskFreeMb,
    sandboxes: sandboxes.flat(),
    pools: pools.figures(),
    spares: parts.spares?.figures() ?? NO_SPARES,
  };
}
