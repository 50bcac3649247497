/** The life cycle of sandboxes: what the database and a host do together. */
import { type Clock, hasCode, type Logger, type SandboxId } from "@wrenn/common";
import type { Receipt as WireReceipt, Sandbox } from "@wrenn/proto/agent";
import { hasEnded } from "../core/sandbox_states.ts";
import type { Database } from "../db/database.ts";
import {
  listSandboxes,
  moveSandbox,
  requestStop,
  type StoredSandbox,
  touchSandbox,
} from "../db/sandboxes.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import { toFacts, toReceipt, toRestored } from "../hosts/agent_messages.ts";
import type { HostRegistry } from "../hosts/host_registry.ts";
import type { SandboxAccess } from "./sandbox_access.ts";
import { SandboxCopies } from "./sandbox_copies.ts";
import { SandboxCreator } from "./sandbox_create.ts";
import { StartedSandboxes } from "./sandbox_start.ts";
import type {
  AgentClient,
  CreateOptions,
  CreateSandbox,
  ForkedSandbox,
  Generation,
  ListSandboxes,
  OpenSandbox,
  Principal,
  Receipt,
  Restored,
  SandboxPage,
  SandboxRecord,
  SandboxService,
} from "./types.ts";

/** What the service needs. */
export interface SandboxesOptions {
  readonly db: Database;
  readonly hosts: HostRegistry;
  readonly access: SandboxAccess;
  readonly clock: Clock;
  readonly log: Logger;
  /** Wakes the reconciler. */
  readonly signal: () => void;
}

const CHANGE_TIMEOUT_MS = 30_000;
/** For what writes or reads a memory. */
const FILES_TIMEOUT_MS = 120_000;
const DESTROY_TIMEOUT_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;
/** Activity is written at most this often per sandbox; the host has the exact time. */
const TOUCH_MS = 5000;

type Rested = { sandbox: SandboxRecord; receipt: Receipt };

/** The service. */
export class Sandboxes implements SandboxService {
  readonly #db: Database;
  readonly #hosts: HostRegistry;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #signal: () => void;
  readonly #access: SandboxAccess;
  readonly #creator: SandboxCreator;
  readonly #copies: SandboxCopies;

  /** @param options Database, hosts, clock, log. */
  constructor(options: SandboxesOptions) {
    this.#db = options.db;
    this.#hosts = options.hosts;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#signal = options.signal;
    const started = new StartedSandboxes(options);
    this.#access = options.access;
    this.#creator = new SandboxCreator({ ...options, started });
    this.#copies = new SandboxCopies({ ...options, started });
  }

  create(who: Principal, request: CreateSandbox, options?: CreateOptions): Promise<SandboxRecord> {
    return this.#creator.create(who, request, options);
  }

  async list(who: Principal, query: ListSandboxes): Promise<SandboxPage> {
    return await listSandboxes(this.#db, who.teamId, query);
  }

  async get(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    return await this.#access.find(who, id);
  }

  async destroy(who: Principal, id: SandboxId): Promise<void> {
    const sandbox = await requestStop(this.#db, who.teamId, id);
    if (!sandbox) {
      await this.#access.find(who, id); // it has stopped, or the team has none
      return;
    }
    // The wish is written: whatever fails from here on, the reconciler finishes it.
    if (!hasEnded(sandbox.status)) await this.#destroyOnHost(sandbox);
    await moveSandbox(this.#db, { id, to: "stopped", why: "destroyed by request" });
    this.#log.info("Sandbox destroyed", { sandbox: id, team: who.teamId, host: sandbox.hostId });
  }

  async pause(who: Principal, id: SandboxId): Promise<Rested> {
    return await this.#rest(
      await this.#access.live(who, id),
      "paused by request",
      (client) => client.pauseSandbox({ id }, { timeoutMs: CHANGE_TIMEOUT_MS }),
    );
  }

  async hibernate(who: Principal, id: SandboxId): Promise<Rested> {
    return await this.#rest(
      await this.#access.live(who, id),
      "hibernated by request",
      (client) => client.hibernateSandbox({ id }, { timeoutMs: FILES_TIMEOUT_MS }),
    );
  }

  async resume(
    who: Principal,
    id: SandboxId,
  ): Promise<{ sandbox: SandboxRecord; restored: Restored }> {
    const { sandbox, answer } = await this.#access.change(
      await this.#access.live(who, id),
      "resumed by request",
      (client) => client.resumeSandbox({ id }, { timeoutMs: FILES_TIMEOUT_MS }),
    );
    return { sandbox, restored: toRestored(answer.restore) };
  }

  fork(who: Principal, id: SandboxId, count: number): Promise<ForkedSandbox[]> {
    return this.#copies.fork(who, id, count);
  }

  generations(who: Principal, id: SandboxId): Promise<Generation[]> {
    return this.#copies.generations(who, id);
  }

  rollback(
    who: Principal,
    id: SandboxId,
    generation: number,
  ): Promise<{ sandbox: SandboxRecord; restored: Restored }> {
    return this.#copies.rollback(who, id, generation);
  }

  async ping(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    const sandbox = await this.#access.running(who, id);
    const answer = await this.#access.call(
      sandbox,
      (client) => client.pingSandbox({ id }, { timeoutMs: PING_TIMEOUT_MS }),
    );
    const { lastActiveAt = new Date(this.#clock.now()) } = toFacts(answer.sandbox);
    await touchSandbox(this.#db, id, lastActiveAt);
    return await this.#access.find(who, id);
  }

  async open(who: Principal, id: SandboxId): Promise<OpenSandbox> {
    const sandbox = await this.#access.running(who, id);
    const agent = this.#access.client(sandbox);
    const now = this.#clock.now();
    if (now - sandbox.lastActiveAt.getTime() > TOUCH_MS) {
      await touchSandbox(this.#db, id, new Date(now));
    }
    return { sandbox, agent };
  }

  async #rest(
    before: StoredSandbox,
    why: string,
    call: (
      client: AgentClient,
    ) => Promise<{ sandbox?: Sandbox | undefined; receipt?: WireReceipt | undefined }>,
  ): Promise<Rested> {
    const { sandbox, answer } = await this.#access.change(before, why, call);
    return { sandbox, receipt: toReceipt(answer.receipt) };
  }

  async #destroyOnHost({ id, executionId, hostId }: StoredSandbox): Promise<void> {
    try {
      const { client } = this.#hosts.get(hostId);
      await client.destroySandbox({ id, executionId }, { timeoutMs: DESTROY_TIMEOUT_MS });
    } catch (cause) {
      const error = fromAgentError(cause);
      // Neither has the host this execution of the sandbox.
      if (hasCode(error, "sandbox_not_found", "conflict")) return;
      this.#signal();
      throw error;
    }
  }
}
