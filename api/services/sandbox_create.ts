/**
 * Creating a sandbox: row `pending` -> host -> row `running`. Whatever fails on the way, the caller gets an error
 * and nothing runs; what cannot be undone at once is left to the reconciler, which ends on the host what has ended
 * in the database.
 */
import {
  type Clock,
  delay,
  type ErrorCode,
  hasCode,
  type Logger,
  newExecutionId,
  newSandboxId,
  WrennError,
} from "@wrenn/common";
import { hasEnded } from "../core/sandbox_states.ts";
import type { Database } from "../db/database.ts";
import {
  findByIdempotencyKey,
  findSandbox,
  freeIdempotencyKey,
  insertSandbox,
  moveSandbox,
  type StoredSandbox,
} from "../db/sandboxes.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import { toFacts, toSpec } from "../hosts/agent_messages.ts";
import type { ConnectedHost } from "../hosts/host_link.ts";
import type { HostRegistry } from "../hosts/host_registry.ts";
import type { CreateOptions, CreateSandbox, Principal, SandboxRecord } from "./types.ts";

/** What creating needs. */
export interface SandboxCreatorOptions {
  readonly db: Database;
  readonly hosts: HostRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: () => void;
}

const CREATE_TIMEOUT_MS = 120_000;
const UNDO_TIMEOUT_MS = 10_000;
/** How often a repeated request looks whether the first one is done. */
const POLL_MS = 200;
/** Errors with which a host says that it has started nothing. */
const REFUSALS: readonly ErrorCode[] = [
  "invalid_request",
  "template_not_found",
  "capacity_exhausted",
];

type Idempotency = { readonly key: string; readonly hash: Uint8Array };

/** Creates sandboxes. */
export class SandboxCreator {
  readonly #db: Database;
  readonly #hosts: HostRegistry;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #signal: () => void;

  /** @param options Database, hosts, clock, log. */
  constructor({ db, hosts, clock, log, signal }: SandboxCreatorOptions) {
    this.#db = db;
    this.#hosts = hosts;
    this.#clock = clock;
    this.#log = log;
    this.#signal = signal;
  }

  /** As {@linkcode SandboxService.create}. */
  async create(
    who: Principal,
    request: CreateSandbox,
    { idempotencyKey }: CreateOptions = {},
  ): Promise<SandboxRecord> {
    if (idempotencyKey === undefined) return await this.#createNew(who, request, undefined);
    const idempotency = { key: idempotencyKey, hash: await hashRequest(request) };
    for (;;) {
      const before = await this.#earlier(who, idempotency);
      if (before) return before;
      try {
        return await this.#createNew(who, request, idempotency);
      } catch (error) {
        // The same request at the same time was first.
        if (!hasCode(error, "already_exists")) throw error;
      }
    }
  }

  async #createNew(
    who: Principal,
    request: CreateSandbox,
    idempotency: Idempotency | undefined,
  ): Promise<SandboxRecord> {
    const start = this.#clock.monotonic();
    return await this.#hosts.placed(request.template, async (host) => {
      const row = await this.#insert(who, request, host, idempotency);
      const sandbox = await this.#start(row, request, host);
      this.#log.info("Sandbox created", {
        sandbox: sandbox.id,
        team: who.teamId,
        host: host.hostId,
        template: request.template,
        durationMs: Math.round(this.#clock.monotonic() - start),
      });
      return sandbox;
    });
  }

  async #insert(
    { teamId }: Principal,
    request: CreateSandbox,
    { hostId }: ConnectedHost,
    idempotency: Idempotency | undefined,
  ): Promise<StoredSandbox> {
    for (;;) {
      const [id, executionId] = [newSandboxId(), newExecutionId()];
      const values = { id, teamId, hostId, executionId, request, idempotency };
      const row = await insertSandbox(this.#db, values);
      if (row) return row; // otherwise the id is taken: another one
    }
  }

  async #start(
    row: StoredSandbox,
    request: CreateSandbox,
    host: ConnectedHost,
  ): Promise<StoredSandbox> {
    const { id, executionId } = row;
    try {
      const { sandbox } = await host.client.createSandbox(
        { id, executionId, spec: toSpec(request) },
        { timeoutMs: CREATE_TIMEOUT_MS },
      );
      return await this.#confirm(row, toFacts(sandbox));
    } catch (cause) {
      const error = fromAgentError(cause);
      await this.#undo(row, host, error);
      throw error;
    }
  }

  /** Writes `running`. The reconciler may have been faster; somebody may have destroyed it meanwhile. */
  async #confirm(
    row: StoredSandbox,
    facts: ReturnType<typeof toFacts>,
  ): Promise<StoredSandbox> {
    const { id, teamId } = row;
    const move = { id, to: "running", why: "started", facts, unlessStopRequested: true } as const;
    const moved = await moveSandbox(this.#db, move);
    if (moved) return moved;
    const present = await findSandbox(this.#db, teamId, id);
    if (present && !present.stopRequested && !hasEnded(present.status)) return present;
    throw new WrennError("conflict", `Sandbox '${id}' was destroyed while it started`);
  }

  async #undo(row: StoredSandbox, host: ConnectedHost, error: WrennError): Promise<void> {
    const { id, executionId, teamId } = row;
    this.#log.warn("Sandbox not created", { sandbox: id, team: teamId, host: host.hostId, error });
    const { code, message } = error;
    try {
      await moveSandbox(this.#db, { id, to: "error", why: message, error: { code, message } });
    } catch (failure) {
      this.#log.warn("Cannot write a failed create", { sandbox: id, error: failure });
      this.#signal();
    }
    if (REFUSALS.includes(code)) return;
    try {
      await host.client.destroySandbox({ id, executionId }, { timeoutMs: UNDO_TIMEOUT_MS });
    } catch (failure) {
      this.#log.info("Left to the reconciler", { sandbox: id, error: fromAgentError(failure) });
      this.#signal();
    }
  }

  /** The sandbox of an earlier request with this key, once it is there; undefined when it never came to life. */
  async #earlier(who: Principal, { key, hash }: Idempotency): Promise<SandboxRecord | undefined> {
    const end = this.#clock.monotonic() + CREATE_TIMEOUT_MS;
    for (;;) {
      const found = await findByIdempotencyKey(this.#db, who.teamId, key);
      if (!found) return undefined;
      if (found.requestHash !== hash.toHex()) {
        throw new WrennError("conflict", "Idempotency key was used for another request");
      }
      const { sandbox } = found;
      if (sandbox.startedAt) return sandbox;
      if (hasEnded(sandbox.status)) {
        await freeIdempotencyKey(this.#db, sandbox.id);
        return undefined;
      }
      if (this.#clock.monotonic() > end) {
        throw new WrennError("timeout", `Sandbox '${sandbox.id}' is still starting`);
      }
      await delay(POLL_MS);
    }
  }
}

/** Tells two requests apart: SHA-256 of the request with its keys in order. */
async function hashRequest(request: CreateSandbox): Promise<Uint8Array> {
  const text = JSON.stringify(
    request,
    (_, value) =>
      value !== null && typeof value === "object" && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
        : value,
  );
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
