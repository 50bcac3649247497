/** Snapshots that somebody asked for: a row `creating` -> files on the sandbox's host -> row `ready`. */
import {
  hasCode,
  type Logger,
  newSnapshotId,
  type SandboxId,
  type SnapshotId,
  WrennError,
} from "@wrenn/common";
import type { Database } from "../db/database.ts";
import {
  findSnapshot,
  finishSnapshot,
  insertSnapshot,
  listSnapshots,
  markSnapshotDeleting,
  removeSnapshot,
} from "../db/snapshots.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import type { HostRegistry } from "../hosts/host_registry.ts";
import type { SandboxAccess } from "./sandbox_access.ts";
import type {
  ListSnapshots,
  Principal,
  SnapshotPage,
  SnapshotRecord,
  SnapshotService,
} from "./types.ts";

/** What the service needs. */
export interface SnapshotsOptions {
  readonly db: Database;
  readonly hosts: HostRegistry;
  readonly access: SandboxAccess;
  readonly log: Logger;
  /** Wakes the reconciler. */
  readonly signal: () => void;
}

const CREATE_TIMEOUT_MS = 120_000;
const DELETE_TIMEOUT_MS = 30_000;

/** The service. What it leaves behind when it is killed, the reconciler finishes. */
export class Snapshots implements SnapshotService {
  readonly #options: SnapshotsOptions;

  /** @param options Database, hosts, log. */
  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  async create(
    who: Principal,
    sandboxId: SandboxId,
    name: string | undefined,
  ): Promise<SnapshotRecord> {
    const { db, access, log } = this.#options;
    const sandbox = await access.awake(who, sandboxId);
    const id = newSnapshotId();
    await insertSnapshot(db, id, sandbox, name);
    try {
      const { snapshot } = await access.call(
        sandbox,
        (client) =>
          client.snapshotSandbox({ id: sandboxId, snapshotId: id }, {
            timeoutMs: CREATE_TIMEOUT_MS,
          }),
      );
      if (!snapshot) throw new WrennError("internal", "Agent answered without a snapshot");
      const made = await finishSnapshot(db, id, snapshot);
      if (!made) throw new WrennError("conflict", `Snapshot '${id}' was deleted meanwhile`);
      log.info("Snapshot created", { snapshot: id, sandbox: sandboxId, team: who.teamId });
      return made;
    } catch (error) {
      // The host may have made it all the same.
      await this.#forget(who, id);
      throw error;
    }
  }

  async list(who: Principal, query: ListSnapshots): Promise<SnapshotPage> {
    return await listSnapshots(this.#options.db, who.teamId, query);
  }

  async get(who: Principal, id: SnapshotId): Promise<SnapshotRecord> {
    const found = await findSnapshot(this.#options.db, who.teamId, id);
    if (!found) throw notFound(id);
    return found;
  }

  async delete(who: Principal, id: SnapshotId): Promise<void> {
    const { db, hosts, log } = this.#options;
    const marked = await markSnapshotDeleting(db, who.teamId, id);
    if (!marked) throw notFound(id);
    // From here on nobody finds it, and the reconciler ends it if this does not.
    try {
      const { client } = hosts.get(marked.hostId);
      await client.deleteSnapshot({ id }, { timeoutMs: DELETE_TIMEOUT_MS });
    } catch (cause) {
      const error = fromAgentError(cause);
      if (!hasCode(error, "snapshot_not_found")) {
        log.info("Snapshot left to the reconciler", { snapshot: id, error });
        return this.#options.signal();
      }
    }
    await removeSnapshot(db, id);
    log.info("Snapshot deleted", { snapshot: id, team: who.teamId });
  }

  async #forget(who: Principal, id: SnapshotId): Promise<void> {
    const { db, log, signal } = this.#options;
    try {
      await markSnapshotDeleting(db, who.teamId, id);
    } catch (error) {
      log.warn("Cannot write a failed snapshot", { snapshot: id, error });
    }
    signal();
  }
}

function notFound(id: SnapshotId): WrennError {
  return new WrennError("snapshot_not_found", `Snapshot '${id}' not found`);
}
