/** A real PostgreSQL server for development and tests, its programs from npm. */
import { join, resolve } from "node:path";
import { CleanupStack, delay } from "@wrenn/common";
import { postgresPrograms } from "./binaries.ts";
import { ensureCluster, ensureDatabase } from "./cluster.ts";
import { type Launcher, launcher, postgresUid } from "./launcher.ts";
import { endServer } from "./orphans.ts";

/** How to run a server. */
export interface PostgresOptions {
  /** Folder of the cluster, its log and its password; made when absent. */
  readonly dataDir: string;
  /** User that runs the server when the caller is root; default `nobody`. */
  readonly uid?: number;
  /** Listen on 127.0.0.1 at this port instead of on a Unix socket. */
  readonly port?: number;
  /** Folder of the Unix socket; default `dataDir`. At most 90 bytes. */
  readonly socketDir?: string;
  /** True: data survives a crash and a password is asked for. False: fast, for tests, in a private folder. */
  readonly durable: boolean;
  /** Database of the URL; made when absent. Default `wrenn`. */
  readonly database?: string;
}

/** A running server. */
export interface PostgresServer extends AsyncDisposable {
  /** Connection URL of the superuser. */
  readonly url: string;
  /** The postmaster's process. */
  readonly pid: number;
  /** Ends the server and waits for its end. The data stay. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const SOCKET = ".s.PGSQL.5432";

/**
 * Starts a server on its folder, making the cluster first if there is none. A server that a killed process
 * left running there is ended before; the folder is locked meanwhile, so two callers cannot both do that.
 *
 * @throws When the folder is in use or the server does not start; the message carries the end of its log.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const dataDir = resolve(options.dataDir);
  const data = join(dataDir, "data");
  const uid = options.uid ?? postgresUid();
  const undo = new CleanupStack();
  try {
    const programs = await postgresPrograms();
    await Deno.mkdir(dataDir, { recursive: true, mode: 0o700 });
    const lock = await lockFolder(dataDir);
    undo.add(() => lock.close(), "lock");
    if (uid !== undefined) await Deno.chown(dataDir, uid, uid);
    await endServer(data);
    const socket = options.port === undefined
      ? await socketFolder(resolve(options.socketDir ?? dataDir), dataDir, uid, undo)
      : undefined;
    const launch = await launcher([dataDir, programs, ...(socket ? [socket] : [])], uid);
    const { durable } = options;
    const password = await ensureCluster({ dataDir, programs, launch, uid, durable });
    const child = await spawn({ ...options, dataDir }, socket, programs, launch);
    undo.add(async () => {
      await endServer(data);
      await child.status;
    }, "server");
    await untilReady(child, dataDir);
    const url = await databaseUrl(options, socket, password);
    const stop = (): Promise<void> => undo.run();
    return { url, pid: child.pid, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

/** Takes the folder's lock, which the kernel gives back when this process ends, however it ends. */
async function lockFolder(dataDir: string): Promise<Deno.FsFile> {
  const file = await Deno.open(join(dataDir, "lock"), { create: true, write: true });
  if (await file.tryLock(true)) return file;
  file.close();
  throw new Error(`Cannot start PostgreSQL: another process uses '${dataDir}'`);
}

/** The folder the server makes its socket in: the cluster's own, or one of the server's in the folder asked for. */
async function socketFolder(
  asked: string,
  dataDir: string,
  uid: number | undefined,
  undo: CleanupStack,
): Promise<string> {
  const folder = asked === dataDir ? dataDir : join(asked, "postgres");
  if (new TextEncoder().encode(folder).length > 90) {
    throw new Error(`Cannot use '${folder}' for a socket: its path is longer than 90 bytes`);
  }
  if (folder !== dataDir) {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    undo.add(() => Deno.remove(folder, { recursive: true }), "socket folder");
    if (uid !== undefined) await Deno.chown(folder, uid, uid);
  } else undo.add(() => removeSocket(folder), "socket");
  return folder;
}

async function removeSocket(folder: string): Promise<void> {
  for (const name of [SOCKET, `${SOCKET}.lock`]) {
    await Deno.remove(join(folder, name)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

async function spawn(
  options: PostgresOptions,
  socket: string | undefined,
  programs: string,
  launch: Launcher,
): Promise<Deno.ChildProcess> {
  const { dataDir, durable, port } = options;
  const log = join(dataDir, "postgres.log");
  await Deno.rename(log, `${log}.1`).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  const settings: Record<string, string | number> = {
    listen_addresses: socket === undefined ? "127.0.0.1" : "",
    unix_socket_directories: socket === undefined ? "" : launch.seen(socket),
    port: port ?? 5432,
    max_connections: 100,
    // Worker processes for reads pay off on machines that do nothing else.
    io_method: "sync",
    max_logical_replication_workers: 0,
    timezone: "UTC",
    log_timezone: "UTC",
    ...(durable ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  const argv = [
    join(launch.seen(programs), "bin/postgres"),
    "-D",
    join(launch.seen(dataDir), "data"),
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  return new Deno.Command("/bin/sh", {
    args: ["-c", 'exec "$@" >>"$0" 2>&1', log, ...launch.command(argv)],
    cwd: "/",
    // A session of its own: Ctrl-C at the terminal reaches whoever started it, which then ends it.
    detached: true,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

/** Waits until the server says in its pid file that it is ready; after a crash it recovers first. */
async function untilReady(child: Deno.ChildProcess, dataDir: string): Promise<void> {
  let ended = false;
  void child.status.then(() => (ended = true));
  for (let waited = 0; waited < START_TIMEOUT_MS && !ended; waited += 20) {
    const lines = (await readIfThere(join(dataDir, "data/postmaster.pid"))).split("\n");
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === "ready") return;
    await delay(20);
  }
  const log = (await readIfThere(join(dataDir, "postgres.log"))).trimEnd();
  const tail = log.split("\n").slice(-15).join("\n");
  throw new Error(
    `Cannot start PostgreSQL: ${ended ? "it has ended" : "it is not ready"}:\n${tail}`,
  );
}

async function databaseUrl(
  { port, database = "wrenn" }: PostgresOptions,
  socket: string | undefined,
  password: string | undefined,
): Promise<string> {
  const host = socket === undefined ? `127.0.0.1:${port}` : encodeURIComponent(socket);
  const base = `postgresql://postgres${password ? `:${password}` : ""}@${host}`;
  await ensureDatabase(`${base}/postgres`, database);
  return `${base}/${database}`;
}

async function readIfThere(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
}
