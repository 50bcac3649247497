/** What the host has left. */
import { statfsSync } from "node:fs";

/** Figures of the host, MiB. */
export interface HostFigures {
  readonly memoryTotalMb: number;
  readonly memoryAvailableMb: number;
  /** Free space for sandboxes' layers. */
  readonly diskFreeMb: number;
}

const MIB = 1024 * 1024;

/**
 * Reads the figures; `folder` lies on the disk that counts. Synchronous, so that admission is one step that no
 * other request comes between; it takes microseconds.
 */
export function readHostFigures(folder: string): HostFigures {
  const { total, available } = Deno.systemMemoryInfo();
  const disk = statfsSync(folder);
  return {
    memoryTotalMb: Math.floor(total / MIB),
    memoryAvailableMb: Math.floor(available / MIB),
    diskFreeMb: Math.floor(disk.bavail * disk.bsize / MIB),
  };
}
