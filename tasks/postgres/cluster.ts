/** A cluster's files, and its databases. */
import { join } from "node:path";
import { Client } from "../../api/db/driver.ts";
import { run } from "../lib/shell.ts";
import { POSTGRES_MAJOR } from "./binaries.ts";
import type { Launcher } from "./launcher.ts";

/** What {@linkcode ensureCluster} needs to know. */
export interface ClusterOptions {
  readonly dataDir: string;
  readonly programs: string;
  readonly launch: Launcher;
  readonly uid: number | undefined;
  readonly durable: boolean;
}

/**
 * Makes the cluster in `dataDir/data` when there is none. It appears under that name only when it is complete.
 *
 * @returns The superuser's password, or undefined for a cluster of tests, which asks for none.
 */
export async function ensureCluster(options: ClusterOptions): Promise<string | undefined> {
  const { dataDir, durable } = options;
  const data = join(dataDir, "data");
  const version = await readIfThere(join(data, "PG_VERSION"));
  if (version === undefined) return await makeCluster(options);
  if (version.trim() !== POSTGRES_MAJOR) {
    throw new Error(
      `Cannot open '${data}': it was made by PostgreSQL ${version.trim()}, this is ${POSTGRES_MAJOR}`,
    );
  }
  if (!durable) return undefined;
  const password = await readIfThere(join(dataDir, "password"));
  if (password === undefined) throw new Error(`Cannot open '${data}': no 'password' beside it`);
  return password.trim();
}

async function makeCluster(options: ClusterOptions): Promise<string | undefined> {
  const { dataDir, programs, launch, uid, durable } = options;
  const [data, draft] = [join(dataDir, "data"), join(dataDir, "data.new")];
  await Deno.remove(draft, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  const password = durable ? crypto.getRandomValues(new Uint8Array(18)).toHex() : undefined;
  if (password !== undefined) {
    const file = join(dataDir, "password");
    await Deno.writeTextFile(file, `${password}\n`, { mode: 0o600 });
    if (uid !== undefined) await Deno.chown(file, uid, uid);
  }
  const seen = launch.seen(dataDir);
  await run(
    launch.command([
      join(launch.seen(programs), "bin/initdb"),
      ...["-D", join(seen, "data.new"), "-U", "postgres", "-E", "UTF8", "--locale=C"],
      "--no-instructions",
      ...(password === undefined
        ? ["--no-sync", "--auth=trust"]
        : ["--auth=scram-sha-256", `--pwfile=${join(seen, "password")}`]),
    ]),
    { cwd: "/", env: { LC_ALL: "C", TZ: "UTC" } },
  );
  await Deno.rename(draft, data);
  return password;
}

/** Creates a database unless it exists. */
export async function ensureDatabase(adminUrl: string, name: string): Promise<void> {
  await withClient(adminUrl, async (client) => {
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
    if (found.rowCount === 0) {
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
    }
  });
}

/** Calls `work` with a connection of its own. */
export async function withClient<T>(
  url: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
}
