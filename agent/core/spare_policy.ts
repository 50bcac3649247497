/** Which processes a host keeps waiting for machines to bring back: from demand, memory and a number. */

/** One kind of process: it fits the snapshots that lie over one memory file. */
export interface SpareKindView {
  /** Processes that wait. */
  readonly ready: number;
  /** When one was last asked for, milliseconds. */
  readonly askedMs: number;
}

/** What the decision depends on. */
export interface SpareView {
  readonly kinds: readonly SpareKindView[];
  /** Processes that wait, of all kinds together. */
  readonly count: number;
  /** How many more the host has memory for; below 0 it is short. */
  readonly room: number;
  readonly nowMs: number;
}

/** What to do next: `kind` is a place in {@linkcode SpareView.kinds}. Undefined: all is well. */
export type SpareStep = { readonly do: "make" | "drop"; readonly kind: number } | undefined;

/** A kind that nobody has asked for this long gives way to others. */
export const STALE_MS = 60_000;

/**
 * One step. All places go to the kind that was asked for last, but no process gives way before its own kind is stale:
 * kinds that are asked for by turns keep what they have.
 */
export function spareStep({ kinds, count, room, nowMs }: SpareView): SpareStep {
  const byAge = kinds.map((view, kind) => ({ ...view, kind }))
    .sort((a, b) => a.askedMs - b.askedMs);
  const oldest = byAge.find(({ ready }) => ready > 0);
  const newest = byAge.at(-1);
  const ready = kinds.reduce((sum, kind) => sum + kind.ready, 0);
  if (oldest && (room < 0 || ready > count)) return { do: "drop", kind: oldest.kind };
  if (newest === undefined || count === 0) return undefined;
  if (ready < count) return room > 0 ? { do: "make", kind: newest.kind } : undefined;
  const stale = oldest && oldest.kind !== newest.kind && nowMs - oldest.askedMs > STALE_MS;
  return stale ? { do: "drop", kind: oldest.kind } : undefined;
}
