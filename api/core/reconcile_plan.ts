/**
 * What is to be done so that the database and one host agree. The host is the truth about what runs, the database
 * about what should; a host that does not answer proves nothing.
 */
import type { SandboxStatus } from "../services/types.ts";
import { canMove, hasEnded } from "./sandbox_states.ts";

/** A sandbox in the database. Times in milliseconds of the database's clock. */
export interface KnownSandbox {
  readonly id: string;
  readonly hostId: string;
  readonly executionId: string;
  readonly status: SandboxStatus;
  readonly version: number;
  readonly createdAt: number;
  /** Last change of `status`. */
  readonly changedAt: number;
  readonly lastActiveAt: number;
  /** Somebody asked for its end. */
  readonly stopRequested: boolean;
}

/** A sandbox on the host. Times in milliseconds of the host's clock. */
export interface LiveSandbox {
  readonly id: string;
  readonly executionId: string;
  readonly status: "starting" | "running" | "paused" | "hibernated" | "stopped" | "error";
  readonly createdAt: number;
  readonly lastActiveAt: number;
  /** Why it ended. */
  readonly reason: Reason | undefined;
}

/** Why a sandbox ended: a code and a sentence. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}

/** What was seen of one host. */
export interface HostView {
  readonly hostId: string;
  /** Its list, or undefined when it did not answer. */
  readonly sandboxes: readonly LiveSandbox[] | undefined;
  /** The database's clock right before the list was asked for. */
  readonly listedAt: number;
  /** This process's clock, to tell the age of what only the host knows. */
  readonly now: number;
  /** Milliseconds since the host became reachable. */
  readonly reachableForMs: number;
}

/** One repair. Each is safe to do twice and safe to leave to the next time. */
export type Repair =
  /** End it on the host, if it still is this execution. */
  | { kind: "destroy"; id: string; executionId: string; why: string }
  /** End it on the host, and when that worked write `stopped`. */
  | { kind: "finish_stop"; id: string; executionId: string; version: number }
  /** Write a state, if the row still has this version. `absent`: only after the host denies the id once more. */
  | {
    kind: "move";
    id: string;
    version: number;
    to: SandboxStatus;
    why: string;
    absent: boolean;
    reason: Reason | undefined;
  }
  /** Write a newer time of activity. */
  | { kind: "touch"; id: string; lastActiveAt: number };

/** A create has this long to reach the host, and a row to be found, before either counts as lost. */
export const GRACE_MS = 90_000;
/** A host that has just come back may still be taking stock of what survived. */
export const SETTLE_MS = 5000;
/** Activity that is older than this is worth a write. */
const TOUCH_MS = 10_000;

/** Decides all repairs for one host. `rows`: its rows that have not ended, and the row of every listed id. */
export function planReconcile(rows: readonly KnownSandbox[], host: HostView): Repair[] {
  if (host.sandboxes === undefined) return [];
  const byId = new Map(rows.map((row) => [row.id, row]));
  const own = new Map<string, LiveSandbox>();
  const repairs: Repair[] = [];
  for (const live of host.sandboxes) {
    const row = byId.get(live.id);
    if (row?.hostId === host.hostId && row.executionId === live.executionId) own.set(live.id, live);
    else if (isAlive(live) && host.now - live.createdAt > GRACE_MS) {
      const why = row ? "another execution is the current one" : "the database does not know it";
      repairs.push({ kind: "destroy", id: live.id, executionId: live.executionId, why });
    }
  }
  for (const row of rows) {
    if (row.hostId !== host.hostId) continue;
    // What was written after the list was asked for is newer than the list.
    if (row.changedAt >= host.listedAt) continue;
    const live = own.get(row.id);
    const repair = live ? repairPresent(row, live) : repairAbsent(row, host);
    if (repair) repairs.push(repair);
  }
  return repairs;
}

function repairPresent(row: KnownSandbox, live: LiveSandbox): Repair | undefined {
  const { id, version } = row;
  const { executionId } = live;
  if (hasEnded(row.status)) {
    return isAlive(live)
      ? { kind: "destroy", id, executionId, why: "it has ended in the database" }
      : undefined;
  }
  if (row.stopRequested) {
    return isAlive(live) ? { kind: "finish_stop", id, executionId, version } : stopped(row);
  }
  if (row.status !== live.status) {
    const to = towards(row.status, live.status);
    if (to === undefined) return undefined;
    const reason = hasEnded(to) ? live.reason : undefined;
    const why = reason?.message ?? `the host has it ${live.status}`;
    return { kind: "move", id, version, to, why, absent: false, reason };
  }
  return live.lastActiveAt - row.lastActiveAt > TOUCH_MS
    ? { kind: "touch", id, lastActiveAt: live.lastActiveAt }
    : undefined;
}

function repairAbsent(row: KnownSandbox, host: HostView): Repair | undefined {
  const { id, version, status } = row;
  if (hasEnded(status)) return undefined;
  if (row.stopRequested) return stopped(row);
  const lost = (message: string, code: string): Repair => ({
    kind: "move",
    id,
    version,
    to: "error",
    why: message,
    absent: true,
    reason: { code, message },
  });
  switch (status) {
    case "pending":
    case "starting":
      return host.listedAt - row.createdAt > GRACE_MS
        ? lost("It never started on its host", "unavailable")
        : undefined;
    case "running":
      return host.reachableForMs >= SETTLE_MS
        ? lost("Its host no longer has it", "host_unavailable")
        : undefined;
    default:
      // They may be nothing but files, which a host that is being repaired does not list. What is lost shows when
      // somebody resumes it: the host denies it then, and the row becomes an error.
      return undefined;
  }
}

/** The next state on the way to what the host has; two steps where the table asks for them. */
export function towards(from: SandboxStatus, to: SandboxStatus): SandboxStatus | undefined {
  if (canMove(from, to)) return to;
  const via = to === "hibernated" ? "paused" : "running";
  if (to !== "paused" && to !== "hibernated") return undefined;
  return canMove(from, via) ? via : towards(from, via);
}

function stopped({ id, version }: KnownSandbox): Repair {
  const why = "destroyed by request";
  return { kind: "move", id, version, to: "stopped", why, absent: false, reason: undefined };
}

function isAlive(live: LiveSandbox): boolean {
  return !hasEnded(live.status);
}
