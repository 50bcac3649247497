import { assert, assertEquals, assertRejects } from "@std/assert";
import { emptyDatabase, startTestServer } from "../../tasks/postgres/testing.ts";
import { MIGRATIONS } from "../../migrations/mod.ts";
import type { Database } from "./database.ts";
import {
  migrateDown,
  migrateReset,
  migrateUp,
  MigrationError,
  migrationStatus,
} from "./migrate.ts";
import { openDatabase } from "./pg_database.ts";

const server = await startTestServer();
Deno.test.afterAll(() => server.stop());

const A = { version: 1, name: "a", up: "CREATE TABLE a (x int)", down: "DROP TABLE a" };
const B = { version: 2, name: "b", up: "CREATE TABLE b (x int)", down: "DROP TABLE b" };

async function withDatabase(work: (db: Database, url: string) => Promise<void>): Promise<void> {
  await using database = await emptyDatabase(server);
  await using db = openDatabase(database.url);
  await work(db, database.url);
}

async function tables(db: Database): Promise<string[]> {
  const sql = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
  return (await db.query<{ name: string }>(sql)).map((row) => row.name);
}

Deno.test("migrateUp() applies what is missing and nothing twice", () =>
  withDatabase(async (db) => {
    assertEquals(await migrateUp(db, [A]), ["0001_a"]);
    assertEquals(await migrateUp(db, [A, B]), ["0002_b"]);
    assertEquals(await migrateUp(db, [A, B]), []);
    assertEquals(await tables(db), ["a", "b", "schema_migrations"]);
  }));

Deno.test("migrateUp() twice at once applies each migration once", () =>
  withDatabase(async (db, url) => {
    await using other = openDatabase(url);
    const applied = await Promise.all([db, other, db, other].map((d) => migrateUp(d, [A, B])));
    assertEquals(applied.flat().sort(), ["0001_a", "0002_b"]);
  }));

Deno.test("migrateUp() leaves nothing of a migration that fails", () =>
  withDatabase(async (db) => {
    const broken = { ...B, up: "CREATE TABLE b (x int); SELECT 1/0" };
    const error = await assertRejects(() => migrateUp(db, [A, broken]), MigrationError, "0002_b");
    assert(error.message.includes("division by zero"));
    assertEquals(await tables(db), ["a", "schema_migrations"]);
    assertEquals(await migrateUp(db, [A, B]), ["0002_b"]);
  }));

Deno.test("migrateUp() refuses a changed, an unknown and a missing migration", () =>
  withDatabase(async (db) => {
    await migrateUp(db, [A, B]);
    await assertRejects(() => migrateUp(db, [A, { ...B, up: "SELECT 1" }]), Error, "was changed");
    await assertRejects(() => migrateUp(db, [A]), MigrationError, "does not know");
    await db.query("DELETE FROM schema_migrations WHERE version = 1");
    await assertRejects(() => migrateUp(db, [A, B]), MigrationError, "but not number 1");
  }));

Deno.test("migrateDown() reverts the newest first", () =>
  withDatabase(async (db) => {
    await migrateUp(db, [A, B]);
    assertEquals(await migrateDown(db, 1, [A, B]), ["0002_b"]);
    assertEquals(await tables(db), ["a", "schema_migrations"]);
    assertEquals((await migrationStatus(db, [A, B])).map((m) => m.appliedAt !== undefined), [
      true,
      false,
    ]);
    assertEquals(await migrateReset(db, [A, B]), ["0001_a", "0002_b"]);
  }));

Deno.test("every migration of the product can be reverted and applied again", () =>
  withDatabase(async (db) => {
    await migrateUp(db);
    await migrateDown(db, MIGRATIONS.length);
    assertEquals(await tables(db), ["schema_migrations"]);
    await migrateUp(db);
  }));
