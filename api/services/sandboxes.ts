/** The life cycle of sandboxes: what the database and a host do together. */
import { type Clock, hasCode, type Logger, type SandboxId, WrennError } from "@wrenn/common";
import type { Sandbox } from "@wrenn/proto/agent";
import { hasEnded } from "../core/sandbox_states.ts";
import type { Database } from "../db/database.ts";
import {
  findSandbox,
  listSandboxes,
  moveSandbox,
  requestStop,
  type StoredSandbox,
  touchSandbox,
} from "../db/sandboxes.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import { toFacts } from "../hosts/agent_messages.ts";
import type { HostRegistry } from "../hosts/host_registry.ts";
import { SandboxCreator } from "./sandbox_create.ts";
import type {
  AgentClient,
  CreateOptions,
  CreateSandbox,
  ListSandboxes,
  OpenSandbox,
  Principal,
  SandboxPage,
  SandboxRecord,
  SandboxService,
} from "./types.ts";

/** What the service needs. */
export interface SandboxesOptions {
  readonly db: Database;
  readonly hosts: HostRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  /** Wakes the reconciler. */
  readonly signal: () => void;
}

const CHANGE_TIMEOUT_MS = 30_000;
const DESTROY_TIMEOUT_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;
/** Activity is written at most this often per sandbox; the host has the exact time. */
const TOUCH_MS = 5000;

/** The service. */
export class Sandboxes implements SandboxService {
  readonly #db: Database;
  readonly #hosts: HostRegistry;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #signal: () => void;
  readonly #creator: SandboxCreator;

  /** @param options Database, hosts, clock, log. */
  constructor(options: SandboxesOptions) {
    this.#db = options.db;
    this.#hosts = options.hosts;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#signal = options.signal;
    this.#creator = new SandboxCreator(options);
  }

  create(who: Principal, request: CreateSandbox, options?: CreateOptions): Promise<SandboxRecord> {
    return this.#creator.create(who, request, options);
  }

  async list(who: Principal, query: ListSandboxes): Promise<SandboxPage> {
    return await listSandboxes(this.#db, who.teamId, query);
  }

  async get(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    return await this.#find(who, id);
  }

  async destroy(who: Principal, id: SandboxId): Promise<void> {
    const sandbox = await requestStop(this.#db, who.teamId, id);
    if (!sandbox) {
      await this.#find(who, id); // it has stopped, or the team has none
      return;
    }
    // The wish is written: whatever fails from here on, the reconciler finishes it.
    if (!hasEnded(sandbox.status)) await this.#destroyOnHost(sandbox);
    await moveSandbox(this.#db, { id, to: "stopped", why: "destroyed by request" });
    this.#log.info("Sandbox destroyed", { sandbox: id, team: who.teamId, host: sandbox.hostId });
  }

  async pause(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    const sandbox = await this.#live(who, id);
    if (sandbox.status === "paused" || sandbox.status === "hibernated") return sandbox;
    return await this.#change(
      sandbox,
      "paused",
      (client) => client.pauseSandbox({ id }, { timeoutMs: CHANGE_TIMEOUT_MS }),
    );
  }

  async resume(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    const sandbox = await this.#live(who, id);
    if (sandbox.status === "running") return sandbox;
    return await this.#change(
      sandbox,
      "running",
      (client) => client.resumeSandbox({ id }, { timeoutMs: CHANGE_TIMEOUT_MS }),
    );
  }

  async ping(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    const sandbox = await this.#running(who, id);
    const { client } = this.#hosts.get(sandbox.hostId);
    const answer = await this.#call(
      sandbox,
      () => client.pingSandbox({ id }, { timeoutMs: PING_TIMEOUT_MS }),
    );
    const { lastActiveAt = new Date(this.#clock.now()) } = toFacts(answer.sandbox);
    await touchSandbox(this.#db, id, lastActiveAt);
    return await this.#find(who, id);
  }

  async open(who: Principal, id: SandboxId): Promise<OpenSandbox> {
    const sandbox = await this.#running(who, id);
    const { client } = this.#hosts.get(sandbox.hostId);
    const now = this.#clock.now();
    if (now - sandbox.lastActiveAt.getTime() > TOUCH_MS) {
      await touchSandbox(this.#db, id, new Date(now));
    }
    return { sandbox, agent: client };
  }

  async #find(who: Principal, id: SandboxId): Promise<StoredSandbox> {
    const sandbox = await findSandbox(this.#db, who.teamId, id);
    if (!sandbox) throw new WrennError("sandbox_not_found", `Sandbox '${id}' not found`);
    return sandbox;
  }

  /** A sandbox that has started and has not ended. */
  async #live(who: Principal, id: SandboxId): Promise<StoredSandbox> {
    const sandbox = await this.#find(who, id);
    if (hasEnded(sandbox.status)) {
      const why = sandbox.error ? `: ${sandbox.error.message}` : "";
      throw new WrennError("sandbox_not_running", `Sandbox '${id}' has ended${why}`);
    }
    if (sandbox.stopRequested) {
      throw new WrennError("sandbox_not_running", `Sandbox '${id}' is being destroyed`);
    }
    if (sandbox.status === "pending" || sandbox.status === "starting") {
      throw new WrennError("sandbox_not_running", `Sandbox '${id}' is starting`);
    }
    return sandbox;
  }

  async #running(who: Principal, id: SandboxId): Promise<StoredSandbox> {
    const sandbox = await this.#live(who, id);
    if (sandbox.status !== "running") {
      throw new WrennError("sandbox_paused", `Sandbox '${id}' is ${sandbox.status}`);
    }
    return sandbox;
  }

  /** Changes the state on the host, then in the row as it was seen; another change in between wins. */
  async #change(
    sandbox: StoredSandbox,
    to: "running" | "paused",
    call: (client: AgentClient) => Promise<{ sandbox?: Sandbox | undefined }>,
  ): Promise<SandboxRecord> {
    const { id, teamId, version } = sandbox;
    const { client } = this.#hosts.get(sandbox.hostId);
    const answer = await this.#call(sandbox, () => call(client));
    const why = to === "paused" ? "paused by request" : "resumed by request";
    const facts = toFacts(answer.sandbox);
    const moved = await moveSandbox(this.#db, { id, to, why, version, facts });
    if (moved) {
      this.#log.info(`Sandbox ${to}`, { sandbox: id, team: teamId, host: sandbox.hostId });
      return moved;
    }
    const present = await findSandbox(this.#db, teamId, id);
    if (present?.status === to) return present;
    this.#signal();
    throw new WrennError("conflict", `Sandbox '${id}' was changed by another request`);
  }

  /** Calls the host; what it says about a sandbox that it no longer has becomes the row's state. */
  async #call<T>(sandbox: StoredSandbox, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (cause) {
      const error = fromAgentError(cause);
      if (!hasCode(error, "sandbox_not_found")) {
        if (hasCode(error, "sandbox_not_running", "sandbox_paused", "conflict")) this.#signal();
        throw error;
      }
      const { id, version } = sandbox;
      const message = "Its host no longer has it";
      const lost = { code: "host_unavailable", message };
      await moveSandbox(this.#db, { id, to: "error", why: message, version, error: lost });
      throw new WrennError("sandbox_not_running", `Sandbox '${id}' has ended: ${message}`, {
        cause,
      });
    }
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
