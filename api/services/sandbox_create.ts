/**
 * Creating a sandbox: row `pending` -> host -> row `running`. Whatever fails on the way, the caller gets an error
 * and nothing runs; what cannot be undone at once is left to the reconciler, which ends on the host what has ended
 * in the database.
 */
import {
  type Clock,
  delay,
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
  freeIdempotencyKey,
  insertSandbox,
  type StoredSandbox,
} from "../db/sandboxes.ts";
import { findSnapshot } from "../db/snapshots.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import { toFacts, toSpec } from "../hosts/agent_messages.ts";
import type { ConnectedHost } from "../hosts/host_link.ts";
import type { HostRegistry } from "../hosts/host_registry.ts";
import type { StartedSandboxes } from "./sandbox_start.ts";
import type { CreateOptions, CreateSandbox, Principal, SandboxRecord } from "./types.ts";

/** What creating needs. */
export interface SandboxCreatorOptions {
  readonly db: Database;
  readonly hosts: HostRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly started: StartedSandboxes;
}

const CREATE_TIMEOUT_MS = 120_000;
/** How often a repeated request looks whether the first one is done. */
const POLL_MS = 200;
type Idempotency = { readonly key: string; readonly hash: Uint8Array };

/** Creates sandboxes. */
export class SandboxCreator {
  readonly #db: Database;
  readonly #hosts: HostRegistry;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #started: StartedSandboxes;

  /** @param options Database, hosts, clock, log. */
  constructor({ db, hosts, clock, log, started }: SandboxCreatorOptions) {
    this.#db = db;
    this.#hosts = hosts;
    this.#clock = clock;
    this.#log = log;
    this.#started = started;
  }

  /** As {@linkcode SandboxService.create}. */
  async create(
    who: Principal,
    request: CreateSandbox,
    { idempotencyKey, timing = new Map() }: CreateOptions = {},
  ): Promise<SandboxRecord> {
    if (idempotencyKey === undefined) {
      return await this.#createNew(who, request, timing, undefined);
    }
    const idempotency = { key: idempotencyKey, hash: await hashRequest(request) };
    for (;;) {
      const before = await this.#earlier(who, idempotency);
      if (before) return before;
      try {
        return await this.#createNew(who, request, timing, idempotency);
      } catch (error) {
        // The same request at the same time was first.
        if (!hasCode(error, "already_exists")) throw error;
      }
    }
  }

  async #createNew(
    who: Principal,
    request: CreateSandbox,
    timing: Map<string, number>,
    idempotency: Idempotency | undefined,
  ): Promise<SandboxRecord> {
    const make = async (order: CreateSandbox, host: ConnectedHost): Promise<SandboxRecord> => {
      const watch = this.#stopwatch(timing);
      const row = await this.#insert(who, order, host, idempotency);
      watch("sql");
      const sandbox = await this.#start(row, order, host, timing, watch);
      this.#log.info("Sandbox created", {
        sandbox: sandbox.id,
        team: who.teamId,
        host: host.hostId,
        template: order.template,
        ...(order.snapshot ? { snapshot: order.snapshot } : {}),
        timing: Object.fromEntries(timing),
      });
      return sandbox;
    };
    if (request.snapshot === undefined) {
      return await this.#hosts.placed(request.template, (host) => make(request, host));
    }
    const snapshot = await findSnapshot(this.#db, who.teamId, request.snapshot);
    if (!snapshot) {
      throw new WrennError("snapshot_not_found", `Snapshot '${request.snapshot}' not found`);
    }
    const { template, vcpus, memoryMb, diskMb } = snapshot;
    // Its files are on one host.
    const host = this.#hosts.get(snapshot.hostId);
    return await make({ ...request, template, vcpus, memoryMb, diskMb }, host);
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
    timing: Map<string, number>,
    watch: (name: string) => void,
  ): Promise<StoredSandbox> {
    const { id, executionId } = row;
    try {
      const { sandbox } = await host.client.createSandbox(
        { id, executionId, spec: toSpec(request), snapshotId: request.snapshot ?? "" },
        {
          timeoutMs: CREATE_TIMEOUT_MS,
          onHeader: (headers) => readServerTiming(headers.get("server-timing") ?? "", timing),
        },
      );
      watch("rpc");
      const running = await this.#started.confirm(row, toFacts(sandbox));
      watch("sql");
      return running;
    } catch (cause) {
      const error = fromAgentError(cause);
      await this.#started.undo(row, host.client, error);
      throw error;
    }
  }

  /** Adds to a name the time since it was called last. */
  #stopwatch(timing: Map<string, number>): (name: string) => void {
    let last = this.#clock.monotonic();
    return (name) => {
      const now = this.#clock.monotonic();
      timing.set(name, Math.round(((timing.get(name) ?? 0) + now - last) * 10) / 10);
      last = now;
    };
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

/** Adds the milliseconds of a Server-Timing header (W3C) that an agent wrote: `claim;dur=1.2, resume;dur=3`. */
function readServerTiming(header: string, timing: Map<string, number>): void {
  for (const [, name, ms] of header.matchAll(/([a-z_]+);dur=([0-9.]+)/g)) {
    if (name !== undefined && ms !== undefined) timing.set(name, Number(ms));
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
