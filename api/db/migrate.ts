/** Applies and reverts the schema's migrations. Several processes may do so at once: a lock lets one at a time. */
import { type Migration, MIGRATIONS } from "../../migrations/mod.ts";
import {
  type AppliedMigration,
  MigrationError,
  migrationLabel,
  pendingMigrations,
} from "../core/migration_plan.ts";
import type { Database, Queryable } from "./database.ts";

export { MigrationError };

/** A migration and when it was applied. */
export interface MigrationStatus {
  /** `0001_init`. */
  readonly label: string;
  readonly appliedAt: Date | undefined;
}

const LOCK = "wrenn migrations";
/** A migration that cannot have a table at once gives up, instead of stopping all who wait behind it. */
const LOCK_TIMEOUT = "10s";

/**
 * Brings the schema up to date; each migration in a transaction of its own.
 *
 * @returns Labels of what was applied, in order.
 * @throws {MigrationError} When the database does not belong to these migrations.
 */
export async function migrateUp(
  db: Database,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<string[]> {
  return await db.lock(LOCK, (session) => applyPending(session, migrations));
}

/** Reverts the last `steps` migrations, newest first. Returns their labels. */
export async function migrateDown(
  db: Database,
  steps: number = 1,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<string[]> {
  return await db.lock(LOCK, (session) => revert(session, migrations, steps));
}

/** Reverts all and applies all: every row is lost. Returns the labels of what was applied. */
export async function migrateReset(
  db: Database,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<string[]> {
  return await db.lock(LOCK, async (session) => {
    await revert(session, migrations, migrations.length);
    return await applyPending(session, migrations);
  });
}

/** All migrations with the time at which each was applied. */
export async function migrationStatus(
  db: Database,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<MigrationStatus[]> {
  return await db.lock(LOCK, async (session) => {
    const applied = await readApplied(session);
    pendingMigrations(await withChecksums(migrations), applied);
    return migrations.map((m) => ({
      label: migrationLabel(m),
      appliedAt: applied.find((a) => a.version === m.version)?.applied_at,
    }));
  });
}

async function applyPending(
  session: Queryable,
  migrations: readonly Migration[],
): Promise<string[]> {
  const labels: string[] = [];
  const pending = pendingMigrations(await withChecksums(migrations), await readApplied(session));
  for (const migration of pending) {
    const { version, name, checksum } = migration;
    await inTransaction(session, migrationLabel(migration), async () => {
      await session.query(migration.up);
      await session.query(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
        [version, name, checksum],
      );
    });
    labels.push(migrationLabel(migration));
  }
  return labels;
}

async function revert(
  session: Queryable,
  migrations: readonly Migration[],
  steps: number,
): Promise<string[]> {
  const applied = await readApplied(session);
  pendingMigrations(await withChecksums(migrations), applied);
  const labels: string[] = [];
  for (const { version } of applied.reverse().slice(0, steps)) {
    const migration = migrations[version - 1];
    if (!migration) throw new MigrationError(`Cannot revert number ${version}: it is unknown`);
    await inTransaction(session, migrationLabel(migration), async () => {
      await session.query(migration.down);
      await session.query("DELETE FROM schema_migrations WHERE version = $1", [version]);
    });
    labels.push(migrationLabel(migration));
  }
  return labels;
}

async function inTransaction(
  session: Queryable,
  label: string,
  work: () => Promise<void>,
): Promise<void> {
  await session.query("BEGIN");
  try {
    await session.query(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`);
    await work();
    await session.query("COMMIT");
  } catch (cause) {
    // The session ends with the error, and with it the transaction.
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new MigrationError(`Cannot run migration '${label}': ${detail}`, { cause });
  }
}

async function readApplied(
  session: Queryable,
): Promise<(AppliedMigration & { applied_at: Date })[]> {
  await session.query(
    `CREATE TABLE IF NOT EXISTS schema_migrations (
       version integer PRIMARY KEY,
       name text NOT NULL,
       checksum text NOT NULL,
       applied_at timestamptz NOT NULL DEFAULT now()
     )`,
  );
  return await session.query<AppliedMigration & { applied_at: Date }>(
    "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version",
  );
}

async function withChecksums(
  migrations: readonly Migration[],
): Promise<(Migration & { checksum: string })[]> {
  return await Promise.all(migrations.map(async (m) => {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(m.up));
    return { ...m, checksum: new Uint8Array(digest).toHex() };
  }));
}
