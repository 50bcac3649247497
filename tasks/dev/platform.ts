/** Starting the platform's parts in order, and ending them in the opposite one. */
import { join } from "node:path";
import { CleanupStack, delay } from "@wrenn/common";
import { bootstrapKey, migrateUp, openDatabase } from "@wrenn/api";
import { goldenEnv } from "../lib/golden_dir.ts";
import { startPostgres } from "../postgres/embedded.ts";
import type { DevFolders } from "./folders.ts";
import { logTail, type Part, startPart } from "./child.ts";
import type { DevOptions } from "./options.ts";

/** A platform that answers. Disposing of it ends every part and removes its run folder. */
export interface Platform extends AsyncDisposable {
  /** Base URL of the control plane. */
  readonly url: string;
  /** API key of the default team. */
  readonly key: string;
  /** The database. */
  readonly databaseUrl: string;
  /** The agent and the control plane. */
  readonly agent: Part;
  /** The control plane. */
  readonly api: Part;
  /** Settles with a sentence when a part has ended by itself. */
  readonly broken: Promise<string>;
}

const READY_TIMEOUT_MS = 60_000;
/** The agent takes up to a minute to end its sandboxes in order. */
const AGENT_GRACE_MS = 65_000;
const API_GRACE_MS = 12_000;
/** Transfers leave their garbage outside V8's heap; a small young generation collects it often (decision 006). */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=1";

/** Told of each part as soon as its process exists, so that a later start can end it. */
export type RecordPart = (part: "agent" | "api", pid: number, url: string) => Promise<void>;

/**
 * Starts database, host agent and control plane. `previousKey` is kept when it still works.
 *
 * @throws When a part does not get ready; what had started has been ended again.
 */
export async function startPlatform(
  options: DevOptions,
  folders: DevFolders,
  previousKey: string | undefined,
  record: RecordPart,
): Promise<Platform> {
  const undo = new CleanupStack();
  try {
    for (const folder of [folders.logs, folders.host]) {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    }
    // The database server runs as another user and must be able to pass through to its own socket folder.
    await Deno.mkdir(folders.run, { recursive: true });
    await Deno.chmod(folders.run, 0o711);
    undo.add(() => Deno.remove(folders.run, { recursive: true }), "run folder");
    const port = options.port === 0 ? freePort() : options.port;
    const url = `http://127.0.0.1:${port}`;
    const databaseUrl = await startDatabase(folders, undo);
    const key = await prepareDatabase(databaseUrl, previousKey);

    const shared = { WRENN_AGENT_SECRET: crypto.getRandomValues(new Uint8Array(24)).toHex() };
    const socket = join(folders.run, "agent.sock");
    const agent = startPart({
      name: "agent",
      args: ["run", "-A", "--quiet", V8_FLAGS, "agent/main.ts"],
      env: {
        ...shared,
        ...await goldenEnv(folders.host),
        WRENN_DATA_DIR: folders.host,
        WRENN_RUN_DIR: join(folders.run, "vm"),
        WRENN_AGENT_LISTEN: `unix:${socket}`,
        WRENN_SLOTS: options.slots,
      },
      logs: folders.logs,
    });
    undo.add(() => agent.stop(AGENT_GRACE_MS), "agent");
    await record("agent", agent.pid, url);
    await until(agent, "a socket", () => Deno.stat(socket).then(() => true, () => false));

    const api = startPart({
      name: "api",
      args: ["run", "-A", "--quiet", V8_FLAGS, "api/main.ts"],
      env: {
        ...shared,
        DATABASE_URL: databaseUrl,
        CP_LISTEN_ADDR: `127.0.0.1:${port}`,
        CP_HOST_AGENT_ADDR: `unix:${socket}`,
      },
      logs: folders.logs,
    });
    undo.add(() => api.stop(API_GRACE_MS), "api");
    await record("api", api.pid, url);
    await until(api, `an answer at ${url}/ready`, () => isReady(url));

    const broken = Promise.race([agent, api].map(async (part) => {
      const { code, signal } = await part.ended;
      return `The ${part.name} has ended (${signal ?? `exit ${code}`}):\n${await logTail(
        part.log,
      )}`;
    }));
    return { url, key, databaseUrl, agent, api, broken, [Symbol.asyncDispose]: () => undo.run() };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

async function startDatabase(folders: DevFolders, undo: CleanupStack): Promise<string> {
  const given = Deno.env.get("DATABASE_URL");
  if (given) return given;
  const server = await startPostgres({
    dataDir: folders.postgres,
    socketDir: folders.run,
    durable: true,
  });
  undo.add(() => server.stop(), "database");
  return server.url;
}

async function prepareDatabase(url: string, previousKey: string | undefined): Promise<string> {
  const database = openDatabase(url);
  try {
    await migrateUp(database);
    return await bootstrapKey(database, previousKey);
  } finally {
    await database.close();
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(2000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // it does not listen yet; `until` gives up in time
  }
}

async function until(part: Part, what: string, done: () => Promise<boolean>): Promise<void> {
  let ended = false;
  void part.ended.then(() => (ended = true));
  for (let waited = 0; !(await done()); waited += 50) {
    if (ended || waited > READY_TIMEOUT_MS) {
      throw new Error(
        `The ${part.name} ${ended ? "has ended" : `does not offer ${what}`}:\n${await logTail(
          part.log,
        )}`,
      );
    }
    await delay(50);
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}
