/** `deno task migrate up | down [N] | create NAME | reset | status` against `DATABASE_URL`. */
import { join } from "node:path";
import {
  migrateDown,
  migrateReset,
  migrateUp,
  MigrationError,
  migrationStatus,
} from "../api/db/migrate.ts";
import type { Database } from "../api/db/database.ts";
import { openDatabase } from "../api/db/pg_database.ts";
import { WrennError } from "@wrenn/common";
import { createMigration } from "./lib/new_migration.ts";
import { fail, repoRoot, say } from "./lib/shell.ts";

const USAGE = "Usage: deno task migrate up | down [N] | create NAME | reset | status";

if (import.meta.main) await main(Deno.args);

async function main([verb, argument, ...rest]: string[]): Promise<void> {
  if (rest.length > 0) fail(USAGE);
  switch (verb) {
    case "create": {
      if (argument === undefined || !/^[a-z][a-z0-9_]{0,60}$/.test(argument)) {
        fail("Usage: deno task migrate create NAME, with NAME of a-z, 0-9 and _");
      }
      for (const file of await createMigration(join(repoRoot(), "migrations"), argument)) say(file);
      return;
    }
    case "up":
      return await withDatabase(async (db) => tell("Applied", await migrateUp(db)));
    case "down": {
      const steps = Number(argument ?? 1);
      if (!Number.isInteger(steps) || steps < 1) fail(USAGE);
      return await withDatabase(async (db) => tell("Reverted", await migrateDown(db, steps)));
    }
    case "reset":
      return await withDatabase(async (db) => tell("Applied anew", await migrateReset(db)));
    case "status":
      return await withDatabase(async (db) => {
        for (const { label, appliedAt } of await migrationStatus(db)) {
          say(`${label}  ${appliedAt?.toISOString() ?? "not applied"}`);
        }
      });
    default:
      fail(USAGE);
  }
}

function tell(what: string, labels: readonly string[]): void {
  say(labels.length === 0 ? "Nothing to do" : `${what}: ${labels.join(", ")}`);
}

async function withDatabase(work: (db: Database) => Promise<void>): Promise<void> {
  const url = Deno.env.get("DATABASE_URL");
  if (!url) fail("DATABASE_URL is not set: 'postgresql://user:password@host/database'");
  await using db = openDatabase(url);
  try {
    await work(db);
  } catch (error) {
    if (!(error instanceof MigrationError) && !(error instanceof WrennError)) throw error;
    await db.close();
    const cause = error.cause instanceof Error ? `: ${error.cause.message}` : "";
    fail(error instanceof MigrationError ? error.message : `${error.message}${cause}`);
  }
}
