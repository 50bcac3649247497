/** Compares the rows of snapshots with one host's files and repairs what differs. */
import { isSnapshotId, type Logger } from "@wrenn/common";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { planSnapshots, type SnapshotRepair } from "../core/snapshot_plan.ts";
import type { Database } from "../db/database.ts";
import { finishSnapshot, removeSnapshot, snapshotsOfHost } from "../db/snapshots.ts";
import type { AgentClient } from "../services/types.ts";

/** What repairing needs. */
export interface SnapshotRepairContext {
  readonly db: Database;
  readonly hostId: string;
  readonly client: AgentClient;
  readonly log: Logger;
  /** The database's clock right before the call, milliseconds. */
  readonly listedAt: number;
  /** This process's clock, milliseconds. */
  readonly now: number;
}

const CALL_TIMEOUT_MS = 30_000;

/** Repairs all; what fails is logged and left to the next round. Answers how many repairs were planned. */
export async function repairSnapshots(context: SnapshotRepairContext): Promise<number> {
  const { db, hostId, client, log, listedAt, now } = context;
  const { snapshots } = await client.listSnapshots({}, { timeoutMs: CALL_TIMEOUT_MS });
  const found = snapshots.map(({ id, createdAt }) => ({
    id,
    createdAt: createdAt ? timestampMs(createdAt) : now,
  }));
  const rows = await snapshotsOfHost(db, hostId);
  const repairs = planSnapshots(rows, { snapshots: found, listedAt, now });
  const perform = async (repair: SnapshotRepair): Promise<void> => {
    const { id } = repair;
    if (!isSnapshotId(id)) return;
    if (repair.kind === "delete") {
      await client.deleteSnapshot({ id }, { timeoutMs: CALL_TIMEOUT_MS });
      await removeSnapshot(db, id);
      return log.info("Snapshot deleted", { snapshot: id, why: repair.why });
    }
    const facts = snapshots.find((s) => s.id === id);
    if (facts) await finishSnapshot(db, id, facts);
    log.info("Snapshot finished", { snapshot: id });
  };
  for (const repair of repairs) {
    try {
      await perform(repair);
    } catch (error) {
      log.warn("Repair failed", { kind: repair.kind, snapshot: repair.id, error });
    }
  }
  return repairs.length;
}
