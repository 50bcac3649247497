/** What the host has left. */
import { statfs } from "node:fs/promises";

/** Figures of the host, MiB. */
export interface HostFigures {
  readonly memoryTotalMb: number;
  readonly memoryAvailableMb: number;
  /** Free space for sandboxes' layers. */
  readonly diskFreeMb: number;
}

const MIB = 1024 * 1024;

/** Reads the figures; `folder` lies on the disk that counts. */
export async function readHostFigures(folder: string): Promise<HostFigures> {
  const { total, available } = Deno.systemMemoryInfo();
  const disk = await statfs(folder);
  return {
    memoryTotalMb: Math.floor(total / MIB),
    memoryAvailableMb: Math.floor(available / MIB),
    diskFreeMb: Math.floor(disk.bavail * disk.bsize / MIB),
  };
}
