/** A team's sandboxes as the services reach them: the row, its host, and what the host's answers say of the row. */
import { hasCode, type Logger, type SandboxId, WrennError } from "@wrenn/common";
import type { Sandbox } from "@wrenn/proto/agent";
import { towards } from "../core/reconcile_plan.ts";
import { hasEnded } from "../core/sandbox_states.ts";
import type { Database } from "../db/database.ts";
import { findSandbox, moveSandbox, type StoredSandbox } from "../db/sandboxes.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import { toFacts, toLive } from "../hosts/agent_messages.ts";
import type { HostRegistry } from "../hosts/host_registry.ts";
import type { AgentClient, Principal } from "./types.ts";

/** What reaching them needs. */
export interface SandboxAccessOptions {
  readonly db: Database;
  readonly hosts: HostRegistry;
  readonly log: Logger;
  /** Wakes the reconciler. */
  readonly signal: () => void;
}

/** Finds sandboxes and calls their hosts. */
export class SandboxAccess {
  readonly #db: Database;
  readonly #hosts: HostRegistry;
  readonly #log: Logger;
  readonly #signal: () => void;

  /** @param options Database, hosts, log. */
  constructor({ db, hosts, log, signal }: SandboxAccessOptions) {
    this.#db = db;
    this.#hosts = hosts;
    this.#log = log;
    this.#signal = signal;
  }

  /** @throws {WrennError} `sandbox_not_found` */
  async find(who: Principal, id: SandboxId): Promise<StoredSandbox> {
    const sandbox = await findSandbox(this.#db, who.teamId, id);
    if (!sandbox) throw new WrennError("sandbox_not_found", `Sandbox '${id}' not found`);
    return sandbox;
  }

  /** A sandbox that has started and has not ended. @throws {WrennError} Also `sandbox_not_running` */
  async live(who: Principal, id: SandboxId): Promise<StoredSandbox> {
    const sandbox = await this.find(who, id);
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

  /** A sandbox that has memory: running or paused. @throws {WrennError} Also `sandbox_paused` */
  async awake(who: Principal, id: SandboxId): Promise<StoredSandbox> {
    const sandbox = await this.live(who, id);
    if (sandbox.status !== "hibernated") return sandbox;
    throw new WrennError("sandbox_paused", `Sandbox '${id}' is hibernated: resume it first`);
  }

  /** A sandbox that runs. @throws {WrennError} Also `sandbox_paused` */
  async running(who: Principal, id: SandboxId): Promise<StoredSandbox> {
    const sandbox = await this.live(who, id);
    if (sandbox.status === "running") return sandbox;
    throw new WrennError("sandbox_paused", `Sandbox '${id}' is ${sandbox.status}`);
  }

  /** The agent that has a sandbox. @throws {WrennError} `host_unavailable` */
  client(sandbox: StoredSandbox): AgentClient {
    return this.#hosts.get(sandbox.hostId).client;
  }

  /** Calls the host; what it says about a sandbox that it no longer has becomes the row's state. */
  async call<T>(sandbox: StoredSandbox, call: (client: AgentClient) => Promise<T>): Promise<T> {
    const client = this.client(sandbox);
    try {
      return await call(client);
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

  /**
   * Changes the state on the host, then in the row as it was seen; another change in between wins.
   *
   * @param why Goes into the history.
   * @throws {WrennError} Also `conflict`, when another change came between.
   */
  async change<T extends { sandbox?: Sandbox | undefined }>(
    sandbox: StoredSandbox,
    why: string,
    call: (client: AgentClient) => Promise<T>,
  ): Promise<{ sandbox: StoredSandbox; answer: T }> {
    const { id, teamId } = sandbox;
    const answer = await this.call(sandbox, call);
    const goal = answer.sandbox && toLive(answer.sandbox)?.status;
    if (goal === undefined) throw new WrennError("internal", "Agent answered without a sandbox");
    const facts = toFacts(answer.sandbox);
    let row = sandbox;
    while (row.status !== goal) {
      const to = towards(row.status, goal);
      const moved = to &&
        await moveSandbox(this.#db, { id, to, why, version: row.version, facts });
      if (moved) {
        row = moved;
        continue;
      }
      const present = await findSandbox(this.#db, teamId, id);
      if (present?.status === goal) return { sandbox: present, answer };
      if (present && present.status === to) {
        // The reconciler was faster with this step.
        row = present;
        continue;
      }
      this.#signal();
      throw new WrennError("conflict", `Sandbox '${id}' was changed by another request`);
    }
    if (row !== sandbox) {
      this.#log.info(`Sandbox ${goal}`, { sandbox: id, team: teamId, host: sandbox.hostId });
    }
    return { sandbox: row, answer };
  }
}
