/** The control plane put together: database, hosts, services, reconciler, HTTP. */
import { CleanupStack, logger, systemClock } from "@wrenn/common";
import { createApp } from "./app.ts";
import type { ApiConfig } from "./config.ts";
import { migrateUp } from "./db/migrate.ts";
import { openDatabase } from "./db/pg_database.ts";
import { agentEndpoint } from "./hosts/agent_client.ts";
import { HostRegistry } from "./hosts/host_registry.ts";
import { listen, type RequestInfo } from "./http/server.ts";
import { Reconciler } from "./reconcile/reconciler.ts";
import { Keys } from "./services/keys.ts";
import { Readiness } from "./services/readiness.ts";
import { SandboxAccess } from "./services/sandbox_access.ts";
import { Sandboxes } from "./services/sandboxes.ts";
import { Snapshots } from "./services/snapshots.ts";

/** A control plane that serves. */
export interface ControlPlane {
  /** Where it listens. */
  readonly address: Deno.Addr;
  /** Takes no new requests, lets those under way end for some seconds, then closes everything. */
  stop(): Promise<void>;
}

/** Requests have this long to end when the control plane stops. */
const DRAIN_MS = 7000;

/** Starts everything. When a part fails, what had started is ended before the error is thrown. */
export async function startControlPlane(config: ApiConfig): Promise<ControlPlane> {
  const log = logger("api");
  const clock = systemClock;
  const undo = new CleanupStack();
  try {
    const db = openDatabase(config.DATABASE_URL);
    undo.add(() => db.close(), "database");
    if (config.WRENN_MIGRATE === "on") {
      const applied = await migrateUp(db);
      if (applied.length > 0) log.info("Schema brought up to date", { applied });
    }

    const endpoints = config.CP_HOST_AGENT_ADDR.map((address) =>
      agentEndpoint(address, config.WRENN_AGENT_SECRET)
    );
    const hosts = new HostRegistry({ endpoints, db, clock, log: logger("api", "hosts") });
    undo.add(() => hosts.close(), "hosts");
    const reconciler = new Reconciler({ db, hosts, clock, log: logger("api", "reconcile") });
    undo.add(() => reconciler.stop(), "reconciler");
    const signal = (): void => reconciler.signal();
    hosts.onChange(signal);

    const keys = new Keys({ db, clock, log: logger("api", "keys") });
    undo.add(() => keys[Symbol.asyncDispose](), "keys");
    const access = new SandboxAccess({ db, hosts, log: logger("api", "sandboxes"), signal });
    const life = { db, hosts, access, signal };
    const sandboxes = new Sandboxes({ ...life, clock, log: logger("api", "sandboxes") });
    const snapshots = new Snapshots({ ...life, log: logger("api", "snapshots") });
    const readiness = new Readiness({ db, hosts });
    const app = createApp({ sandboxes, snapshots, keys, readiness, log: logger("api", "http") });

    hosts.start();
    reconciler.start();
    const address = config.CP_LISTEN_ADDR;
    if (address.transport === "unix") await removeSocket(address.path);
    const fetch = (request: Request, info: RequestInfo): Promise<Response> =>
      app.fetch(request, info);
    const server = await listen({ address, fetch, log: logger("api", "http") });
    undo.add(async () => {
      app.close();
      await server.drain(DRAIN_MS);
    }, "server");
    log.info("Control plane listens", { address: server.address });
    return { address: server.address, stop: () => undo.run() };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

/** A control plane that was killed leaves its socket; one that lives is not disturbed. */
async function removeSocket(path: string): Promise<void> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof Deno.errors.ConnectionRefused) return await Deno.remove(path);
    throw error;
  }
  throw new Error(`Cannot listen at '${path}': somebody does already`);
}
