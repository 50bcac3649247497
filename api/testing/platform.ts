/** The control plane's inside on a real database, with hosts in memory: for tests of services and reconciler. */
import { assert, assertRejects } from "@std/assert";
import {
  type Clock,
  type ErrorCode,
  hasCode,
  logger,
  type SandboxId,
  systemClock,
} from "@wrenn/common";
import { freshDatabase, type TestDatabase, type TestServer } from "../../tasks/postgres/testing.ts";
import type { Database } from "../db/database.ts";
import { openDatabase } from "../db/pg_database.ts";
import { HostRegistry } from "../hosts/host_registry.ts";
import { Reconciler } from "../reconcile/reconciler.ts";
import { SandboxAccess } from "../services/sandbox_access.ts";
import { Sandboxes } from "../services/sandboxes.ts";
import { Snapshots } from "../services/snapshots.ts";
import type { AgentClient, CreateSandbox, Principal } from "../services/types.ts";
import { FakeAgent } from "./fake_agent.ts";

/** One replica: its own pool, links and reconciler. */
export interface Replica extends AsyncDisposable {
  readonly db: Database;
  readonly hosts: HostRegistry;
  readonly sandboxes: Sandboxes;
  readonly snapshots: Snapshots;
  readonly reconciler: Reconciler;
}

/** A database, a host in memory, and replicas of the control plane. */
export class TestPlatform implements AsyncDisposable {
  readonly #replicas: Replica[] = [];
  /** The database. */
  readonly database: TestDatabase;
  /** The host. */
  readonly agent: FakeAgent;
  /** Templates of the host; more may come. */
  readonly templates: string[];
  /** Sandboxes that the host has but does not list. */
  readonly unlisted: Set<string> = new Set();
  /** Milliseconds by which the replicas' monotonic clock is ahead. */
  ahead: number = 0;
  /** Called when the host has made a sandbox and its answer is on the way. */
  onCreated: (id: SandboxId) => Promise<void> = () => Promise.resolve();
  /** The next create is performed by the host, but its answer never comes. */
  loseNextCreate: boolean = false;

  private constructor(database: TestDatabase, templates: string[]) {
    this.database = database;
    this.templates = templates;
    this.agent = new FakeAgent({ templates });
  }

  /** A platform without replicas, with the teams of {@linkcode ALICE} and {@linkcode BOB}. */
  static async start(server: TestServer): Promise<TestPlatform> {
    const platform = new TestPlatform(await freshDatabase(server), ["minimal", "base"]);
    await using db = openDatabase(platform.database.url);
    for (const { teamId } of [ALICE, BOB]) {
      await db.query("INSERT INTO teams (id, name) VALUES ($1, $1)", [teamId]);
    }
    return platform;
  }

  /** Starts a replica and waits until it has the host. Its reconciler runs when it is told to. */
  async replica(): Promise<Replica> {
    const db = openDatabase(this.database.url);
    const endpoint = { address: "memory", client: this.#client(), close: () => {} };
    const clock: Clock = {
      now: systemClock.now,
      monotonic: () => systemClock.monotonic() + this.ahead,
    };
    const log = logger("test");
    const hosts = new HostRegistry({ endpoints: [endpoint], db, clock, log, heartbeatMs: 1000 });
    const reconciler = new Reconciler({ db, hosts, clock, log });
    const signal = (): void => reconciler.signal();
    const access = new SandboxAccess({ db, hosts, log, signal });
    const sandboxes = new Sandboxes({ db, hosts, access, clock, log, signal });
    const snapshots = new Snapshots({ db, hosts, access, log, signal });
    const connected = Promise.withResolvers<void>();
    const off = hosts.onChange(() => {
      if (hosts.connected().length > 0) connected.resolve();
    });
    hosts.start();
    await connected.promise;
    off();
    const dispose = async (): Promise<void> => {
      await reconciler.stop();
      await hosts.close();
      await db.close();
    };
    const replica = { db, hosts, sandboxes, snapshots, reconciler, [Symbol.asyncDispose]: dispose };
    this.#replicas.push(replica);
    return replica;
  }

  #client(): AgentClient {
    const client = this.agent.client();
    return {
      ...client,
      listSandboxes: async (...args) => {
        const answer = await client.listSandboxes(...args);
        const sandboxes = answer.sandboxes.filter((s) => !this.unlisted.has(s.id));
        return { ...answer, sandboxes };
      },
      createSandbox: async (...args) => {
        const answer = await client.createSandbox(...args);
        await this.onCreated((answer.sandbox?.id ?? "sb-") as SandboxId);
        if (!this.loseNextCreate) return answer;
        this.loseNextCreate = false;
        throw new TypeError("Connection reset");
      },
    };
  }

  /** Ends all replicas and drops the database. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const replica of this.#replicas) await replica[Symbol.asyncDispose]();
    await this.database.drop();
  }
}

/** Runs the work of a test on one replica of a platform of its own, on this database server. */
export function replicaTest(
  server: TestServer,
): (work: (replica: Replica, platform: TestPlatform) => Promise<void>) => Promise<void> {
  return async (work) => {
    await using platform = await TestPlatform.start(server);
    await work(await platform.replica(), platform);
  };
}

/** A caller. */
export const ALICE: Principal = { teamId: "team-0000000a", keyId: "key-0000000a" };
/** A caller of another team. */
export const BOB: Principal = { teamId: "team-0000000b", keyId: "key-0000000b" };

/** A create request. */
export function request(fields: Partial<CreateSandbox> = {}): CreateSandbox {
  return {
    template: "base",
    vcpus: 1,
    memoryMb: 256,
    diskMb: 0,
    timeoutSec: 300,
    onTimeout: "destroy",
    env: {},
    metadata: {},
    network: { internet: true, allowOut: [], denyOut: [] },
    ...fields,
  };
}

/** States of a sandbox in the order of its history. */
export async function history(db: Database, id: SandboxId): Promise<string[]> {
  const sql = "SELECT to_status FROM sandbox_events WHERE sandbox_id = $1 ORDER BY id";
  return (await db.query<{ to_status: string }>(sql, [id])).map((row) => row.to_status);
}

/** Fails unless `work` fails with one of these codes. */
export async function assertCode(
  work: () => Promise<unknown>,
  ...codes: ErrorCode[]
): Promise<void> {
  const error = await assertRejects(work);
  assert(hasCode(error, ...codes), `${codes}: ${error}`);
}
