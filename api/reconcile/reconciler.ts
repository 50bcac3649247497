/**
 * The reconciler: at intervals and when signalled it reads everything, compares, and repairs what differs. It takes
 * no input: a signal only says "soon". What fails is left to the next round.
 */
import { type Clock, delay, linkSignals, type Logger } from "@wrenn/common";
import {
  type KnownSandbox,
  planReconcile,
  type Repair,
  SETTLE_MS,
} from "../core/reconcile_plan.ts";
import type { Database } from "../db/database.ts";
import { databaseTime, sandboxesToReconcile, type StoredSandbox } from "../db/sandboxes.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import { toFacts, toLive } from "../hosts/agent_messages.ts";
import type { ConnectedHost } from "../hosts/host_link.ts";
import type { HostRegistry } from "../hosts/host_registry.ts";
import { performRepair, type RepairContext } from "./executor.ts";
import { repairSnapshots } from "./snapshot_repairs.ts";

/** What the reconciler needs. */
export interface ReconcilerOptions {
  readonly db: Database;
  readonly hosts: HostRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  /** Time between two rounds. Default 30 000 ms. */
  readonly intervalMs?: number;
}

const LOCK = "wrenn reconciler";
const LIST_TIMEOUT_MS = 10_000;
/** Signals within this time make one round. */
const GATHER_MS = 100;
/** When another replica was at work: what this one was told may be newer than what that one has read. */
const BUSY_MS = 1000;
/** Repairs at once. */
const PARALLEL = 8;

/** The loop. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #abort = new AbortController();
  #wake: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;

  /** @param options Database, hosts, clock, log. */
  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Begins; the first round runs at once. */
  start(): void {
    this.signal();
    this.#running ??= this.#loop();
  }

  /** Asks for a round soon. */
  signal(): void {
    this.#wake.resolve();
  }

  /** Ends the loop after the round that is under way. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  /**
   * One round over all hosts that answer, unless another replica is at it.
   *
   * @returns Number of repairs that were planned, or undefined when another replica had the lock.
   */
  async runOnce(): Promise<number | undefined> {
    return await this.#options.db.tryLock(LOCK, async () => {
      const counts = await Promise.all(
        this.#options.hosts.connected().map((host) => this.#reconcile(host)),
      );
      return counts.reduce((sum, n) => sum + n, 0);
    });
  }

  async #loop(): Promise<void> {
    const { signal } = this.#abort;
    const { intervalMs = 30_000, log } = this.#options;
    while (!signal.aborted) {
      await this.#woken(intervalMs);
      if (!(await waited(GATHER_MS, signal))) break;
      this.#wake = Promise.withResolvers<void>();
      try {
        if (await this.runOnce() !== undefined) continue;
        await waited(BUSY_MS, signal);
        this.signal();
      } catch (error) {
        log.warn("Round of repairs failed", { error });
      }
    }
  }

  /** Waits for a signal, the interval, or the end. */
  async #woken(intervalMs: number): Promise<void> {
    using done = linkSignals(this.#abort.signal);
    await Promise.race([this.#wake.promise, waited(intervalMs, done.signal)]);
    done.abort();
  }

  async #reconcile(host: ConnectedHost): Promise<number> {
    const { db, clock, log, hosts } = this.#options;
    const { hostId, client, connectedAt } = host;
    try {
      const listedAt = (await databaseTime(db)).getTime();
      const listed = (await client.listSandboxes({}, { timeoutMs: LIST_TIMEOUT_MS })).sandboxes;
      const sandboxes = listed.flatMap((s) => toLive(s) ?? []);
      const ids = listed.map((s) => s.id);
      const rows = (await sandboxesToReconcile(db, hostId, ids)).map(toKnown);
      const ended = ["stopped", "error"];
      hosts.noteLoad(hostId, sandboxes.filter((s) => !ended.includes(s.status)).length);
      const reachableForMs = clock.monotonic() - connectedAt;
      const now = clock.now();
      const repairs = planReconcile(rows, { hostId, sandboxes, listedAt, now, reachableForMs });
      // What a host lost is believed once it has settled: look again then, not an interval later.
      if (reachableForMs < SETTLE_MS) void this.#signalIn(SETTLE_MS - reachableForMs);
      const facts = new Map(listed.map((s) => [s.id, toFacts(s)]));
      await this.#perform(repairs, { db, client, log, facts });
      const view = { hostId, listedAt, now };
      return repairs.length + await repairSnapshots({ db, client, log, ...view });
    } catch (error) {
      log.warn("Cannot compare with a host", { host: hostId, error: fromAgentError(error) });
      return 0;
    }
  }

  async #signalIn(ms: number): Promise<void> {
    if (await waited(ms, this.#abort.signal)) this.signal();
  }

  async #perform(repairs: readonly Repair[], context: RepairContext): Promise<void> {
    const queue = [...repairs];
    const worker = async (): Promise<void> => {
      for (let repair = queue.shift(); repair; repair = queue.shift()) {
        try {
          await performRepair(repair, context);
        } catch (error) {
          const { kind, id } = repair;
          this.#options.log.warn("Repair failed", { kind, sandbox: id, error });
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  }
}

/** False when the signal came first. */
async function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  return await delay(ms, signal).then(() => true, () => false);
}

function toKnown(row: StoredSandbox): KnownSandbox {
  return {
    id: row.id,
    hostId: row.hostId,
    executionId: row.executionId,
    status: row.status,
    version: row.version,
    createdAt: row.createdAt.getTime(),
    changedAt: row.changedAt.getTime(),
    lastActiveAt: row.lastActiveAt.getTime(),
    stopRequested: row.stopRequested,
  };
}
