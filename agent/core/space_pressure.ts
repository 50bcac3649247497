/** When writes are held back because a host's file system is nearly full, and how often that is looked at. */

/** No disk writes faster than this, MiB per second. */
const FASTEST_MB_PER_SEC = 2048;
const SHORTEST_MS = 50;
const LONGEST_MS = 2000;

/** Below this much free space writes are held back: new disks were refused before, at the reserve itself. */
export function holdBelowMb(reserveMb: number): number {
  return reserveMb / 2;
}

/** Whether writes are to be held back. They go on when the reserve is whole again. */
export function holdsBack(held: boolean, freeMb: number, reserveMb: number): boolean {
  return freeMb < (held ? reserveMb : holdBelowMb(reserveMb));
}

/** Milliseconds until the next look: the fastest writers cannot use up what is free by then. */
export function nextLookMs(freeMb: number, reserveMb: number): number {
  const above = freeMb - holdBelowMb(reserveMb);
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, above / FASTEST_MB_PER_SEC * 1000));
}
