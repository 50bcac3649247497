/** Calls about generations and snapshots. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService } from "@wrenn/proto/agent";
import type { SandboxManager } from "../sandbox/manager.ts";
import { toGeneration, toRestore, toSandbox, toSnapshot } from "./convert.ts";
import { generationNumber, sandboxId, snapshotId } from "./validate.ts";

/** The calls that this file serves. */
export type SnapshotCalls = Pick<
  ServiceImpl<typeof AgentService>,
  "snapshotSandbox" | "rollbackSandbox" | "listGenerations" | "listSnapshots" | "deleteSnapshot"
>;

/** Snapshot calls over a manager. */
export function snapshotCalls(manager: SandboxManager): SnapshotCalls {
  return {
    snapshotSandbox: async (request) => {
      const [id, snapshot] = [
        sandboxId(request.id),
        snapshotId(request.snapshotId, "snapshot_id"),
      ];
      return { snapshot: toSnapshot(await manager.snapshot(id, snapshot)) };
    },
    rollbackSandbox: async (request) => {
      const id = sandboxId(request.id);
      const restored = await manager.rollback(id, generationNumber(request.generation));
      return { sandbox: toSandbox(manager.get(id).info), restore: toRestore(restored) };
    },
    listGenerations: ({ id }) => ({
      generations: manager.generations(sandboxId(id)).map(toGeneration),
    }),
    listSnapshots: async () => ({ snapshots: (await manager.snapshots()).map(toSnapshot) }),
    deleteSnapshot: async ({ id }) => {
      await manager.deleteSnapshot(snapshotId(id));
      return {};
    },
  };
}
