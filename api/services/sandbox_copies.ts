/** Copies and earlier moments of sandboxes: fork, generations, rollback. */
import {
  type Logger,
  newExecutionId,
  newSandboxId,
  type SandboxId,
  WrennError,
} from "@wrenn/common";
import type { Database } from "../db/database.ts";
import { insertForks, type StoredSandbox } from "../db/sandboxes.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import { toFacts, toForkReport, toGeneration, toRestored } from "../hosts/agent_messages.ts";
import type { SandboxAccess } from "./sandbox_access.ts";
import type { StartedSandboxes } from "./sandbox_start.ts";
import type {
  AgentClient,
  ForkedSandbox,
  Generation,
  Principal,
  Restored,
  SandboxRecord,
} from "./types.ts";

/** What copying needs. */
export interface SandboxCopiesOptions {
  readonly db: Database;
  readonly access: SandboxAccess;
  readonly started: StartedSandboxes;
  readonly log: Logger;
}

const READ_TIMEOUT_MS = 10_000;
const ROLLBACK_TIMEOUT_MS = 120_000;
/** A fork has this long, and each copy adds to it. */
const FORK_TIMEOUT_MS = 120_000;
const FORK_TIMEOUT_EACH_MS = 5000;

/** The part of the sandbox service that copies. */
export class SandboxCopies {
  readonly #db: Database;
  readonly #access: SandboxAccess;
  readonly #started: StartedSandboxes;
  readonly #log: Logger;

  /** @param options Database, access, log. */
  constructor({ db, access, started, log }: SandboxCopiesOptions) {
    this.#db = db;
    this.#access = access;
    this.#started = started;
    this.#log = log;
  }

  /** As {@linkcode SandboxService.fork}. */
  async fork(who: Principal, id: SandboxId, count: number): Promise<ForkedSandbox[]> {
    const source = await this.#access.awake(who, id);
    const client = this.#access.client(source);
    const rows = await this.#insert(source, count);
    try {
      const children = rows.map((row) => ({ id: row.id, executionId: row.executionId }));
      const timeoutMs = FORK_TIMEOUT_MS + count * FORK_TIMEOUT_EACH_MS;
      const answer = await this.#access.call(
        source,
        () => client.forkSandbox({ id, children }, { timeoutMs }),
      );
      const forked = await Promise.all(rows.map(async (row, i): Promise<ForkedSandbox> => {
        const child = answer.children[i];
        if (child?.sandbox?.id !== row.id) {
          throw new WrennError("internal", "Agent answered with other copies");
        }
        const sandbox = await this.#started.confirm(row, toFacts(child.sandbox));
        return { sandbox, report: toForkReport(child.report) };
      }));
      this.#log.info("Sandbox forked", { sandbox: id, team: who.teamId, count });
      return forked;
    } catch (cause) {
      const error = fromAgentError(cause);
      await this.#undo(rows, client, error);
      throw error;
    }
  }

  /** As {@linkcode SandboxService.generations}. */
  async generations(who: Principal, id: SandboxId): Promise<Generation[]> {
    const sandbox = await this.#access.live(who, id);
    const { generations } = await this.#access.call(
      sandbox,
      (client) => client.listGenerations({ id }, { timeoutMs: READ_TIMEOUT_MS }),
    );
    return generations.map(toGeneration);
  }

  /** As {@linkcode SandboxService.rollback}. */
  async rollback(
    who: Principal,
    id: SandboxId,
    generation: number,
  ): Promise<{ sandbox: SandboxRecord; restored: Restored }> {
    const before = await this.#access.live(who, id);
    const { sandbox, answer } = await this.#access.change(
      before,
      `rolled back to generation ${generation}`,
      (client) =>
        client.rollbackSandbox({ id, generation: BigInt(generation) }, {
          timeoutMs: ROLLBACK_TIMEOUT_MS,
        }),
    );
    this.#log.info("Sandbox rolled back", { sandbox: id, team: who.teamId, generation });
    return { sandbox, restored: toRestored(answer.restore) };
  }

  async #insert(source: StoredSandbox, count: number): Promise<StoredSandbox[]> {
    const rows: StoredSandbox[] = [];
    while (rows.length < count) {
      const children = Array.from(
        { length: count - rows.length },
        () => ({ id: newSandboxId(), executionId: newExecutionId() }),
      );
      // Fewer come back when ids are taken: others then.
      rows.push(...await insertForks(this.#db, source, children));
    }
    return rows;
  }

  async #undo(
    rows: readonly StoredSandbox[],
    client: AgentClient,
    error: WrennError,
  ): Promise<void> {
    await Promise.all(rows.map((row) => this.#started.undo(row, client, error)));
  }
}
