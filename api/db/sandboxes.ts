/** Rows of sandboxes: reading them, and the guarded updates by which one of several writers wins. */
import type { SandboxId } from "@wrenn/common";
import { decodeCursor, encodeCursor } from "../core/cursor.ts";
import { expiresAt } from "../core/sandbox_expiry.ts";
import { ENDED_STATUSES, hasEnded, statesBefore, STATUSES } from "../core/sandbox_states.ts";
import type {
  CreateSandbox,
  ListSandboxes,
  OnTimeout,
  SandboxPage,
  SandboxRecord,
  SandboxStatus,
} from "../services/types.ts";
import type { Queryable } from "./database.ts";

/** A sandbox with what only the control plane's inside needs. */
export interface StoredSandbox extends SandboxRecord {
  /** Counts changes of `status`. */
  readonly version: number;
  readonly hostId: string;
  /** Somebody asked for its end. */
  readonly stopRequested: boolean;
  readonly changedAt: Date;
}

/** What a new row holds beside the request. */
export interface NewSandbox {
  readonly id: SandboxId;
  readonly teamId: string;
  readonly hostId: string;
  readonly executionId: string;
  readonly request: CreateSandbox;
  /** Key and hash of a request that may be repeated. */
  readonly idempotency: { readonly key: string; readonly hash: Uint8Array } | undefined;
}

/** A change of state. */
export interface Move {
  readonly id: string;
  readonly to: SandboxStatus;
  /** Goes into the history. */
  readonly why: string;
  /** The version that the decision is based on; without it any state that `to` may follow will do. */
  readonly version?: number | undefined;
  /** Only while nobody has asked for the sandbox's end. */
  readonly unlessStopRequested?: boolean;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly facts?: HostFacts | undefined;
}

/** What a host says about a sandbox. */
export interface HostFacts {
  readonly hostIp?: string | undefined;
  readonly startedAt?: Date | undefined;
  readonly lastActiveAt?: Date | undefined;
  readonly diskMb?: number | undefined;
}

interface SandboxRow {
  id: SandboxId;
  team_id: string;
  status: SandboxStatus;
  version: number;
  changed_at: Date;
  template: string;
  vcpus: number;
  memory_mb: number;
  disk_mb: number;
  timeout_sec: number;
  on_timeout: OnTimeout;
  metadata: Record<string, string>;
  host_id: string;
  host_ip: string | null;
  execution_id: string;
  stop_requested_at: Date | null;
  error_code: string | null;
  error_message: string | null;
  created_at: Date;
  started_at: Date | null;
  last_active_at: Date;
}

/**
 * Inserts a row in state `pending`. Undefined when the id is taken by another sandbox.
 *
 * @throws {WrennError} `already_exists` when the team has used this idempotency key.
 */
export async function insertSandbox(
  db: Queryable,
  { id, teamId, hostId, executionId, request, idempotency }: NewSandbox,
): Promise<StoredSandbox | undefined> {
  // Repeating the statement after a lost connection finds the row of the first attempt by its execution.
  const [row] = await db.query<SandboxRow>(
    `INSERT INTO sandboxes (id, team_id, host_id, execution_id, template, vcpus, memory_mb, disk_mb, timeout_sec,
       on_timeout, metadata, network, idempotency_key, request_hash, reason)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'created')
     ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id
       WHERE sandboxes.execution_id = EXCLUDED.execution_id
     RETURNING *`,
    [
      id,
      teamId,
      hostId,
      executionId,
      request.template,
      request.vcpus,
      request.memoryMb,
      request.diskMb,
      request.timeoutSec,
      request.onTimeout,
      JSON.stringify(request.metadata),
      JSON.stringify(request.network),
      idempotency?.key ?? null,
      idempotency ? `\\x${idempotency.hash.toHex()}` : null,
    ],
    { idempotent: true },
  );
  return row && toStored(row);
}

/**
 * Inserts the rows of copies in one statement, in state `pending`, with everything of `source` but its identity.
 *
 * @throws {Error} When an id is taken: the caller draws others.
 */
export async function insertForks(
  db: Queryable,
  source: StoredSandbox,
  children: readonly { readonly id: SandboxId; readonly executionId: string }[],
): Promise<StoredSandbox[]> {
  const rows = await db.query<SandboxRow>(
    `INSERT INTO sandboxes (id, team_id, host_id, execution_id, template, vcpus, memory_mb, disk_mb, timeout_sec,
       on_timeout, metadata, network, reason)
     SELECT child.id, s.team_id, s.host_id, child.execution_id, s.template, s.vcpus, s.memory_mb, s.disk_mb,
       s.timeout_sec, s.on_timeout, s.metadata, s.network, 'forked from ' || s.id
     FROM sandboxes s, unnest($2::text[], $3::text[]) AS child (id, execution_id)
     WHERE s.id = $1
     ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id
       WHERE sandboxes.execution_id = EXCLUDED.execution_id
     RETURNING *`,
    [source.id, children.map(({ id }) => id), children.map(({ executionId }) => executionId)],
    { idempotent: true },
  );
  return rows.map(toStored);
}

/** The team's sandbox of this id. */
export async function findSandbox(
  db: Queryable,
  teamId: string,
  id: SandboxId,
): Promise<StoredSandbox | undefined> {
  const sql = "SELECT * FROM sandboxes WHERE id = $1 AND team_id = $2";
  const [row] = await db.query<SandboxRow>(sql, [id, teamId], { idempotent: true });
  return row && toStored(row);
}

/** The sandbox that this idempotency key made, with the hash of its request. */
export async function findByIdempotencyKey(
  db: Queryable,
  teamId: string,
  key: string,
): Promise<{ sandbox: StoredSandbox; requestHash: string } | undefined> {
  const [row] = await db.query<SandboxRow & { hash: string }>(
    `SELECT *, encode(request_hash, 'hex') AS hash FROM sandboxes
     WHERE team_id = $1 AND idempotency_key = $2`,
    [teamId, key],
    { idempotent: true },
  );
  return row && { sandbox: toStored(row), requestHash: row.hash };
}

/** Frees an idempotency key whose sandbox never came to life, for another attempt. */
export async function freeIdempotencyKey(db: Queryable, id: SandboxId): Promise<void> {
  await db.query(
    `UPDATE sandboxes SET idempotency_key = NULL, request_hash = NULL
     WHERE id = $1 AND started_at IS NULL AND status = ANY($2)`,
    [id, ENDED_STATUSES],
    { idempotent: true },
  );
}

/** One page of a team's sandboxes, newest first. */
export async function listSandboxes(
  db: Queryable,
  teamId: string,
  query: ListSandboxes,
): Promise<SandboxPage> {
  const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
  const rows = await db.query<SandboxRow & { created_at_us: string }>(
    `SELECT *, (extract(epoch FROM created_at) * 1000000)::bigint::text AS created_at_us
     FROM sandboxes
     WHERE team_id = $1 AND status = ANY($2)
       AND ($3::text IS NULL OR template = $3)
       AND ($4::jsonb IS NULL OR metadata @> $4)
       AND ($5::bigint IS NULL
         OR (created_at, id) < (timestamptz 'epoch' + $5::bigint * interval '1 microsecond', $6))
     ORDER BY created_at DESC, id DESC LIMIT $7`,
    [
      teamId,
      query.status ?? STATUSES.filter((status) => !hasEnded(status)),
      query.template ?? null,
      query.metadata ? JSON.stringify(query.metadata) : null,
      after ? String(after.createdAtUs) : null,
      after?.id ?? null,
      query.limit + 1,
    ],
    { idempotent: true },
  );
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  return {
    sandboxes: page.map(toStored),
    nextCursor: last && rows.length > page.length
      ? encodeCursor({ createdAtUs: BigInt(last.created_at_us), id: last.id })
      : undefined,
  };
}

/**
 * Changes a state if the table allows it from the present one. Undefined when another writer was first, the
 * version is another, or there is no such row: nothing has changed then.
 */
export async function moveSandbox(db: Queryable, move: Move): Promise<StoredSandbox | undefined> {
  const { id, to, why, version, error, facts = {} } = move;
  const [row] = await db.query<SandboxRow>(
    `UPDATE sandboxes SET
       status = $2, version = version + 1, changed_at = clock_timestamp(), reason = $3,
       stopped_at = CASE WHEN $4 THEN coalesce(stopped_at, clock_timestamp()) END,
       error_code = coalesce($5, error_code),
       error_message = coalesce($6, error_message),
       host_ip = coalesce($7, host_ip),
       started_at = CASE WHEN $2 IN ('running', 'paused')
         THEN coalesce(started_at, $8, clock_timestamp()) ELSE started_at END,
       last_active_at = greatest(last_active_at, $9),
       disk_mb = coalesce($10, disk_mb)
     WHERE id = $1 AND status = ANY($11) AND ($12::int IS NULL OR version = $12)
       AND NOT ($13 AND stop_requested_at IS NOT NULL)
     RETURNING *`,
    [
      id,
      to,
      why,
      hasEnded(to),
      error?.code ?? null,
      error?.message ?? null,
      facts.hostIp || null,
      facts.startedAt ?? null,
      facts.lastActiveAt ?? null,
      facts.diskMb || null,
      statesBefore(to),
      version ?? null,
      move.unlessStopRequested ?? false,
    ],
    // A repetition finds the state changed and does nothing.
    { idempotent: true },
  );
  return row && toStored(row);
}

/** Notes that somebody wants the sandbox's end. Undefined when the team has no such sandbox or it has stopped. */
export async function requestStop(
  db: Queryable,
  teamId: string,
  id: SandboxId,
): Promise<StoredSandbox | undefined> {
  const [row] = await db.query<SandboxRow>(
    `UPDATE sandboxes SET stop_requested_at = coalesce(stop_requested_at, clock_timestamp())
     WHERE id = $1 AND team_id = $2 AND status <> 'stopped' RETURNING *`,
    [id, teamId],
    { idempotent: true },
  );
  return row && toStored(row);
}

/** Writes a newer time of activity of a sandbox that lives. */
export async function touchSandbox(db: Queryable, id: string, at: Date): Promise<void> {
  await db.query(
    `UPDATE sandboxes SET last_active_at = $2
     WHERE id = $1 AND last_active_at < $2 AND NOT status = ANY($3)`,
    [id, at, ENDED_STATUSES],
    { idempotent: true },
  );
}

/** What the reconciler compares with a host: its rows that have not ended, and the row of every listed id. */
export async function sandboxesToReconcile(
  db: Queryable,
  hostId: string,
  listed: readonly string[],
): Promise<StoredSandbox[]> {
  const rows = await db.query<SandboxRow>(
    `SELECT * FROM sandboxes
     WHERE (host_id = $1 AND status <> 'stopped' AND status <> 'error') OR id = ANY($2)`,
    [hostId, listed],
    { idempotent: true },
  );
  return rows.map(toStored);
}

/** The database's clock. */
export async function databaseTime(db: Queryable): Promise<Date> {
  const sql = "SELECT clock_timestamp() AS now";
  const [row] = await db.query<{ now: Date }>(sql, [], { idempotent: true });
  if (!row) throw new TypeError("Database did not tell the time");
  return row.now;
}

function toStored(row: SandboxRow): StoredSandbox {
  const record = {
    id: row.id,
    teamId: row.team_id,
    status: row.status,
    version: row.version,
    changedAt: row.changed_at,
    stopRequested: row.stop_requested_at !== null,
    template: row.template,
    vcpus: row.vcpus,
    memoryMb: row.memory_mb,
    diskMb: row.disk_mb,
    timeoutSec: row.timeout_sec,
    onTimeout: row.on_timeout,
    metadata: row.metadata,
    hostId: row.host_id,
    hostIp: row.host_ip ?? undefined,
    executionId: row.execution_id,
    createdAt: row.created_at,
    startedAt: row.started_at ?? undefined,
    lastActiveAt: row.last_active_at,
    error: row.error_code === null
      ? undefined
      : { code: row.error_code, message: row.error_message ?? "" },
  };
  return { ...record, expiresAt: expiresAt(record) };
}
