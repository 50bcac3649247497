/** Rows of snapshots. A row comes before its files and goes after them. */
import type { SnapshotId } from "@wrenn/common";
import { decodeCursor, encodeCursor } from "../core/cursor.ts";
import type { KnownSnapshot } from "../core/snapshot_plan.ts";
import type { ListSnapshots, SnapshotPage, SnapshotRecord } from "../services/types.ts";
import type { Queryable } from "./database.ts";
import type { StoredSandbox } from "./sandboxes.ts";

interface SnapshotRow {
  id: SnapshotId;
  team_id: string;
  sandbox_id: string;
  host_id: string;
  name: string | null;
  status: KnownSnapshot["status"];
  template: string;
  vcpus: number;
  memory_mb: number;
  disk_mb: number;
  generation: string;
  digest: string | null;
  bytes: string;
  created_at: Date;
}

/** What a host says of a snapshot that it has made. */
export interface SnapshotFacts {
  readonly generation: bigint;
  readonly digest: string;
  readonly bytes: bigint;
  readonly diskMb: number;
}

/** Inserts a row in state `creating`. */
export async function insertSnapshot(
  db: Queryable,
  id: SnapshotId,
  sandbox: StoredSandbox,
  name: string | undefined,
): Promise<void> {
  await db.query(
    `INSERT INTO snapshots (id, team_id, sandbox_id, host_id, name, template, vcpus, memory_mb, disk_mb)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING`,
    [
      id,
      sandbox.teamId,
      sandbox.id,
      sandbox.hostId,
      name ?? null,
      sandbox.template,
      sandbox.vcpus,
      sandbox.memoryMb,
      sandbox.diskMb,
    ],
    { idempotent: true },
  );
}

/** Makes a row `ready`. Undefined when it was deleted meanwhile. */
export async function finishSnapshot(
  db: Queryable,
  id: SnapshotId,
  { generation, digest, bytes, diskMb }: SnapshotFacts,
): Promise<SnapshotRecord | undefined> {
  const [row] = await db.query<SnapshotRow>(
    `UPDATE snapshots SET status = 'ready', generation = $2, digest = $3, bytes = $4, disk_mb = $5
     WHERE id = $1 AND status <> 'deleting' RETURNING *`,
    [id, String(generation), digest, String(bytes), diskMb],
    { idempotent: true },
  );
  return row && toRecord(row);
}

/** The team's snapshot, when it is ready. */
export async function findSnapshot(
  db: Queryable,
  teamId: string,
  id: SnapshotId,
): Promise<SnapshotRecord | undefined> {
  const sql = "SELECT * FROM snapshots WHERE id = $1 AND team_id = $2 AND status = 'ready'";
  const [row] = await db.query<SnapshotRow>(sql, [id, teamId], { idempotent: true });
  return row && toRecord(row);
}

/** One page of a team's snapshots, newest first. */
export async function listSnapshots(
  db: Queryable,
  teamId: string,
  query: ListSnapshots,
): Promise<SnapshotPage> {
  const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
  const rows = await db.query<SnapshotRow & { created_at_us: string }>(
    `SELECT *, (extract(epoch FROM created_at) * 1000000)::bigint::text AS created_at_us
     FROM snapshots
     WHERE team_id = $1 AND status = 'ready'
       AND ($2::text IS NULL OR sandbox_id = $2) AND ($3::text IS NULL OR name = $3)
       AND ($4::bigint IS NULL
         OR (created_at, id) < (timestamptz 'epoch' + $4::bigint * interval '1 microsecond', $5))
     ORDER BY created_at DESC, id DESC LIMIT $6`,
    [
      teamId,
      query.sandboxId ?? null,
      query.name ?? null,
      after ? String(after.createdAtUs) : null,
      after?.id ?? null,
      query.limit + 1,
    ],
    { idempotent: true },
  );
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  return {
    snapshots: page.map(toRecord),
    nextCursor: last && rows.length > page.length
      ? encodeCursor({ createdAtUs: BigInt(last.created_at_us), id: last.id })
      : undefined,
  };
}

/** Marks the team's snapshot for deletion; answers its host. Undefined when there is none. */
export async function markSnapshotDeleting(
  db: Queryable,
  teamId: string,
  id: SnapshotId,
): Promise<{ hostId: string } | undefined> {
  const [row] = await db.query<SnapshotRow>(
    `UPDATE snapshots SET status = 'deleting' WHERE id = $1 AND team_id = $2 RETURNING *`,
    [id, teamId],
    { idempotent: true },
  );
  return row && { hostId: row.host_id };
}

/** Removes a row whose files are gone. */
export async function removeSnapshot(db: Queryable, id: SnapshotId): Promise<void> {
  await db.query("DELETE FROM snapshots WHERE id = $1", [id], { idempotent: true });
}

/** Every snapshot of a host. */
export async function snapshotsOfHost(db: Queryable, hostId: string): Promise<KnownSnapshot[]> {
  const sql = "SELECT id, status, created_at FROM snapshots WHERE host_id = $1";
  const rows = await db.query<Pick<SnapshotRow, "id" | "status" | "created_at">>(sql, [hostId], {
    idempotent: true,
  });
  return rows.map(({ id, status, created_at }) => ({
    id,
    status,
    createdAt: created_at.getTime(),
  }));
}

function toRecord(row: SnapshotRow): SnapshotRecord {
  return {
    id: row.id,
    teamId: row.team_id,
    sandboxId: row.sandbox_id,
    hostId: row.host_id,
    name: row.name ?? undefined,
    template: row.template,
    vcpus: row.vcpus,
    memoryMb: row.memory_mb,
    diskMb: row.disk_mb,
    generation: Number(row.generation),
    digest: row.digest ?? "",
    bytes: Number(row.bytes),
    createdAt: row.created_at,
  };
}
