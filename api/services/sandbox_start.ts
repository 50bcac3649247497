/** The end of a start: the row of a sandbox that its host has started, or could not start. */
import { type ErrorCode, type Logger, WrennError } from "@wrenn/common";
import { hasEnded } from "../core/sandbox_states.ts";
import type { Database } from "../db/database.ts";
import { findSandbox, type HostFacts, moveSandbox, type StoredSandbox } from "../db/sandboxes.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import type { AgentClient } from "./types.ts";

/** What it needs. */
export interface StartedSandboxesOptions {
  readonly db: Database;
  readonly log: Logger;
  /** Wakes the reconciler. */
  readonly signal: () => void;
}

const UNDO_TIMEOUT_MS = 10_000;
/** Errors with which a host says that it has started nothing. */
const REFUSALS: readonly ErrorCode[] = [
  "invalid_request",
  "template_not_found",
  "snapshot_not_found",
  "snapshot_incompatible",
  "capacity_exhausted",
];

/** Writes what became of rows in state `pending`. */
export class StartedSandboxes {
  readonly #db: Database;
  readonly #log: Logger;
  readonly #signal: () => void;

  /** @param options Database, log. */
  constructor({ db, log, signal }: StartedSandboxesOptions) {
    this.#db = db;
    this.#log = log;
    this.#signal = signal;
  }

  /**
   * Writes `running`. The reconciler may have been faster; somebody may have destroyed it meanwhile.
   *
   * @throws {WrennError} `conflict` when it was destroyed.
   */
  async confirm({ id, teamId }: StoredSandbox, facts: HostFacts): Promise<StoredSandbox> {
    const move = { id, to: "running", why: "started", facts, unlessStopRequested: true } as const;
    const moved = await moveSandbox(this.#db, move);
    if (moved) return moved;
    const present = await findSandbox(this.#db, teamId, id);
    if (present && !present.stopRequested && !hasEnded(present.status)) return present;
    throw new WrennError("conflict", `Sandbox '${id}' was destroyed while it started`);
  }

  /** Writes `error` and ends what the host may have started; what fails is left to the reconciler. */
  async undo(row: StoredSandbox, client: AgentClient, error: WrennError): Promise<void> {
    const { id, executionId, teamId, hostId } = row;
    this.#log.warn("Sandbox not created", { sandbox: id, team: teamId, host: hostId, error });
    const { code, message } = error;
    try {
      await moveSandbox(this.#db, { id, to: "error", why: message, error: { code, message } });
    } catch (failure) {
      this.#log.warn("Cannot write a failed create", { sandbox: id, error: failure });
      this.#signal();
    }
    if (REFUSALS.includes(code)) return;
    try {
      await client.destroySandbox({ id, executionId }, { timeoutMs: UNDO_TIMEOUT_MS });
    } catch (failure) {
      this.#log.info("Left to the reconciler", { sandbox: id, error: fromAgentError(failure) });
      this.#signal();
    }
  }
}
