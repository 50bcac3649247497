/** What is to be done so that the rows of snapshots and the files of one host agree. */

/** A snapshot in the database. */
export interface KnownSnapshot {
  readonly id: string;
  readonly status: "creating" | "ready" | "deleting";
  /** Milliseconds of the database's clock. */
  readonly createdAt: number;
}

/** A snapshot on the host. */
export interface FoundSnapshot {
  readonly id: string;
  /** Milliseconds of the host's clock. */
  readonly createdAt: number;
}

/** What was seen of one host. */
export interface SnapshotView {
  readonly snapshots: readonly FoundSnapshot[];
  /** The database's clock right before the list was asked for. */
  readonly listedAt: number;
  /** This process's clock, to tell the age of what only the host knows. */
  readonly now: number;
}

/** One repair. Each is safe to do twice and safe to leave to the next time. */
export type SnapshotRepair =
  /** Delete the files, then the row. */
  | { readonly kind: "delete"; readonly id: string; readonly why: string }
  /** Its files are there: the row becomes `ready`. */
  | { readonly kind: "finish"; readonly id: string };

/** A snapshot has this long to be made before it counts as lost. */
export const SNAPSHOT_GRACE_MS = 300_000;

/** Decides all repairs. A `ready` row without files stays: whoever uses it is told that they are gone. */
export function planSnapshots(
  rows: readonly KnownSnapshot[],
  { snapshots, listedAt, now }: SnapshotView,
): SnapshotRepair[] {
  const found = new Set(snapshots.map(({ id }) => id));
  const known = new Set(rows.map(({ id }) => id));
  const repairs = rows.flatMap((row): SnapshotRepair[] => {
    const { id, status } = row;
    if (status === "deleting") return [{ kind: "delete", id, why: "it was deleted" }];
    if (status === "ready" || listedAt - row.createdAt <= SNAPSHOT_GRACE_MS) return [];
    return [
      found.has(id) ? { kind: "finish", id } : { kind: "delete", id, why: "it was never finished" },
    ];
  });
  const strays = snapshots
    .filter(({ id, createdAt }) => !known.has(id) && now - createdAt > SNAPSHOT_GRACE_MS)
    .map(({ id }) => ({ kind: "delete" as const, id, why: "the database does not know it" }));
  return [...repairs, ...strays];
}
