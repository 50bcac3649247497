/** Databases for tests: one server per test file (or one given for all), one database per test. */
import { join } from "node:path";
import { migrateUp } from "../../api/db/migrate.ts";
import { openDatabase } from "../../api/db/pg_database.ts";
import { MIGRATIONS } from "../../migrations/mod.ts";
import { ensureDatabase, withClient } from "./cluster.ts";
import { startPostgres } from "./embedded.ts";

/** A server for tests. */
export interface TestServer extends AsyncDisposable {
  /** URL of the superuser, without a database. */
  readonly baseUrl: string;
  /** Ends the server and removes its files; a server that was given stays. */
  stop(): Promise<void>;
}

/** A database of its own for one test. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** Ends every connection to it, as a failing server would. */
  killBackends(): Promise<void>;
  /** Removes it; connections to it are ended. */
  drop(): Promise<void>;
}

const PREFIX = "wrenn-postgres-";
/** A test run that was killed leaves its folder; it is removed once it is this old and nobody holds its lock. */
const STALE_MS = 120_000;

/**
 * Starts a server on a temporary folder and a Unix socket, without durability. When `WRENN_TEST_POSTGRES_URL` is set
 * (`postgresql://user:password@host`, no database) that server is used instead.
 */
export async function startTestServer(): Promise<TestServer> {
  const given = Deno.env.get("WRENN_TEST_POSTGRES_URL");
  if (given) {
    const nothing = (): Promise<void> => Promise.resolve();
    return { baseUrl: given.replace(/\/$/, ""), stop: nothing, [Symbol.asyncDispose]: nothing };
  }
  await removeStale();
  const dataDir = await Deno.makeTempDir({ prefix: PREFIX });
  const remove = (): Promise<void> => Deno.remove(dataDir, { recursive: true });
  try {
    const server = await startPostgres({ dataDir, durable: false, database: "postgres" });
    const stop = async (): Promise<void> => {
      await server.stop();
      await remove();
    };
    const baseUrl = server.url.replace(/\/postgres$/, "");
    return { baseUrl, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** A new database with the schema of all migrations, copied from a template that is made once per server. */
export async function freshDatabase(server: TestServer): Promise<TestDatabase> {
  const template = await ensureTemplate(server);
  const name = `test_${crypto.getRandomValues(new Uint8Array(6)).toHex()}`;
  await admin(server, `CREATE DATABASE ${name} TEMPLATE ${template}`);
  return database(server, name);
}

/** A new database without any table. */
export async function emptyDatabase(server: TestServer): Promise<TestDatabase> {
  const name = `test_${crypto.getRandomValues(new Uint8Array(6)).toHex()}`;
  await admin(server, `CREATE DATABASE ${name}`);
  return database(server, name);
}

function database(server: TestServer, name: string): TestDatabase {
  const drop = (): Promise<void> => admin(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  const killBackends = (): Promise<void> =>
    admin(
      server,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = '${name}' AND backend_type = 'client backend'`,
    );
  return { url: `${server.baseUrl}/${name}`, killBackends, drop, [Symbol.asyncDispose]: drop };
}

async function ensureTemplate(server: TestServer): Promise<string> {
  const text = new TextEncoder().encode(MIGRATIONS.map((m) => m.up).join("\0"));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", text)).toHex().slice(0, 12);
  const name = `wrenn_template_${hash}`;
  await withClient(`${server.baseUrl}/postgres`, async (client) => {
    await client.query("SELECT pg_advisory_lock(7310)"); // several test processes may share the server
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
    if (found.rowCount !== 0) return;
    await ensureDatabase(`${server.baseUrl}/postgres`, `${name}_draft`);
    await using db = openDatabase(`${server.baseUrl}/${name}_draft`);
    await migrateUp(db);
    await db.close();
    await client.query(`ALTER DATABASE ${name}_draft RENAME TO ${name}`);
  });
  return name;
}

async function admin(server: TestServer, sql: string): Promise<void> {
  await withClient(`${server.baseUrl}/postgres`, (client) => client.query(sql));
}

async function removeStale(): Promise<void> {
  const tmp = Deno.env.get("TMPDIR") ?? "/tmp";
  for await (const entry of Deno.readDir(tmp)) {
    if (!entry.isDirectory || !entry.name.startsWith(PREFIX)) continue;
    const folder = join(tmp, entry.name);
    try {
      const { mtime } = await Deno.stat(folder);
      if (Date.now() - (mtime?.getTime() ?? Date.now()) < STALE_MS) continue;
      using lock = await Deno.open(join(folder, "lock"), { create: true, write: true });
      if (await lock.tryLock(true)) await Deno.remove(folder, { recursive: true });
    } catch (error) {
      // Another process removes it at the same time, or it belongs to another user.
      const known = [Deno.errors.NotFound, Deno.errors.PermissionDenied];
      if (!known.some((type) => error instanceof type)) throw error;
    }
  }
}
