/** What `dmsetup status` says of a snapshot device. */

/** How a writable disk is. */
export type DiskState =
  /** It can be read and written. */
  | "ok"
  /** Its copy-on-write file has no room: it can be read, every write fails. */
  | "full"
  /** The kernel has given it up after a failed write: nothing can be read until it is mended. */
  | "lost";

/** A snapshot's state, and how full its copy-on-write file is as far as the kernel tells. */
export interface SnapshotStatus {
  readonly state: DiskState;
  /** Sectors that are used, those of metadata included; 0 when not told. */
  readonly usedSectors: number;
  /** Sectors that there are; 0 when not told. */
  readonly totalSectors: number;
}

const LINE = /^\d+ \d+ snapshot (?:(\d+)\/(\d+) \d+|(Invalid|Overflow))$/;

/**
 * Reads the status line of one device.
 *
 * @throws {Error} For anything but a snapshot's.
 */
export function readSnapshotStatus(text: string): SnapshotStatus {
  const [, used, total, fault] = LINE.exec(text.trim()) ?? [];
  if (used === undefined && fault === undefined) {
    throw new Error(`Not a snapshot's status: '${text.trim().slice(0, 200)}'`);
  }
  const state = fault === undefined ? "ok" : fault === "Overflow" ? "full" : "lost";
  return { state, usedSectors: Number(used ?? 0), totalSectors: Number(total ?? 0) };
}
