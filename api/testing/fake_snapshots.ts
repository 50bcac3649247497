/** Generations and snapshots of a fake agent: numbers and names, without a byte of memory. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AgentService,
  type ForkReport,
  ForkReportSchema,
  type Generation,
  GenerationSchema,
  type Receipt,
  ReceiptSchema,
  type Restore,
  RestoredFrom,
  RestoreSchema,
  type Sandbox,
  SandboxSchema,
  SandboxStatus,
  type Snapshot,
  SnapshotSchema,
} from "@wrenn/proto/agent";
import { type Clock, WrennError } from "@wrenn/common";

/** The calls that this file serves. */
export type FakeSnapshotCalls = Pick<
  ServiceImpl<typeof AgentService>,
  | "pauseSandbox"
  | "hibernateSandbox"
  | "resumeSandbox"
  | "forkSandbox"
  | "snapshotSandbox"
  | "rollbackSandbox"
  | "listGenerations"
  | "listSnapshots"
  | "deleteSnapshot"
>;

/** What they need of the agent. */
export interface FakeSnapshotHost {
  readonly clock: Clock;
  /** @throws {WrennError} `sandbox_not_found` */
  sandbox(id: string): Sandbox;
  set(id: string, status: SandboxStatus): void;
  add(sandbox: Sandbox): void;
}

const ALIVE = [SandboxStatus.RUNNING, SandboxStatus.PAUSED, SandboxStatus.HIBERNATED];

/** Generations by sandbox, snapshots by id. */
export class FakeSnapshots {
  /** Snapshots by id. */
  readonly snapshots: Map<string, Snapshot> = new Map();
  /** Generations of each sandbox, newest first. */
  readonly generations: Map<string, Generation[]> = new Map();
  /** Set: memories cannot be restored, for this reason. */
  badMemory: string = "";
  readonly #host: FakeSnapshotHost;

  /** @param host The agent. */
  constructor(host: FakeSnapshotHost) {
    this.#host = host;
  }

  /** The calls. */
  calls(): FakeSnapshotCalls {
    return {
      pauseSandbox: ({ id }) => {
        const sandbox = this.#alive(id);
        if (sandbox.status === SandboxStatus.RUNNING) this.#host.set(id, SandboxStatus.PAUSED);
        return { sandbox, receipt: this.#receipt(id) };
      },
      hibernateSandbox: ({ id }) => {
        const sandbox = this.#alive(id);
        if (sandbox.status !== SandboxStatus.HIBERNATED) {
          this.#capture(id, "");
          this.#host.set(id, SandboxStatus.HIBERNATED);
        }
        return { sandbox, receipt: this.#receipt(id) };
      },
      resumeSandbox: ({ id }) => {
        const sandbox = this.#alive(id);
        const restore = this.#restore(id, sandbox.status);
        if (sandbox.status !== SandboxStatus.RUNNING) this.#host.set(id, SandboxStatus.RUNNING);
        return { sandbox, restore };
      },
      forkSandbox: ({ id, children }) => {
        const source = this.#awake(id);
        return {
          children: children.map((child, i) => {
            const { id, executionId } = child;
            const hostIp = `10.12.0.${i + 1}`;
            const status = SandboxStatus.RUNNING;
            const sandbox = create(SandboxSchema, { ...source, id, executionId, status, hostIp });
            this.#host.add(sandbox);
            return { sandbox, report: forkReport(child.id) };
          }),
        };
      },
      snapshotSandbox: ({ id, snapshotId }) => {
        const sandbox = this.#awake(id);
        const known = this.snapshots.get(snapshotId);
        if (known) return { snapshot: known };
        const { generation, digest, bytes, createdAt } = this.#capture(id, snapshotId);
        const { template = "", vcpus = 1, memoryMb = 512, diskMb = 1024 } = sandbox.spec ?? {};
        const snapshot = create(SnapshotSchema, {
          ...{ id: snapshotId, sandboxId: id, template, vcpus, memoryMb, diskMb },
          ...{ generation, digest, bytes, ...(createdAt ? { createdAt } : {}) },
        });
        this.snapshots.set(snapshotId, snapshot);
        return { snapshot };
      },
      rollbackSandbox: ({ id, generation }) => {
        const sandbox = this.#alive(id);
        if (!this.generations.get(id)?.some((g) => g.generation === generation)) {
          throw new WrennError("snapshot_not_found", `No generation ${generation}`);
        }
        if (sandbox.status !== SandboxStatus.RUNNING) this.#host.set(id, SandboxStatus.RUNNING);
        const restore = create(RestoreSchema, { from: RestoredFrom.MEMORY, generation });
        return { sandbox, restore };
      },
      listGenerations: ({ id }) => ({
        generations: this.#alive(id) && (this.generations.get(id) ?? []),
      }),
      listSnapshots: () => ({ snapshots: [...this.snapshots.values()] }),
      deleteSnapshot: ({ id }) => {
        this.snapshots.delete(id);
        return {};
      },
    };
  }

  #alive(id: string): Sandbox {
    const sandbox = this.#host.sandbox(id);
    if (ALIVE.includes(sandbox.status)) return sandbox;
    throw new WrennError("sandbox_not_running", `Sandbox '${id}' is not running`);
  }

  #awake(id: string): Sandbox {
    const sandbox = this.#alive(id);
    if (sandbox.status !== SandboxStatus.HIBERNATED) return sandbox;
    throw new WrennError("sandbox_paused", `Sandbox '${id}' is hibernated`);
  }

  #capture(id: string, snapshotId: string): Generation {
    const before = this.generations.get(id) ?? [];
    const number = (before[0]?.generation ?? 0n) + 1n;
    const generation = create(GenerationSchema, {
      generation: number,
      digest: number.toString(16).padStart(64, "0"),
      bytes: 4096n,
      createdAt: timestampFromMs(this.#host.clock.now()),
      snapshotId,
    });
    this.generations.set(id, [generation, ...before]);
    return generation;
  }

  #receipt(id: string): Receipt {
    const newest = this.generations.get(id)?.[0];
    if (!newest) return create(ReceiptSchema);
    const { generation, digest, bytes, createdAt } = newest;
    return create(ReceiptSchema, {
      generation,
      digest,
      bytes,
      ...(createdAt ? { durableAt: createdAt } : {}),
    });
  }

  #restore(id: string, status: SandboxStatus): Restore {
    const generation = this.generations.get(id)?.[0]?.generation ?? 0n;
    switch (status) {
      case SandboxStatus.RUNNING:
        return create(RestoreSchema, { from: RestoredFrom.RUNNING, generation });
      case SandboxStatus.PAUSED:
        return create(RestoreSchema, { from: RestoredFrom.PAUSED, generation });
      default: {
        const from = this.badMemory === "" ? RestoredFrom.MEMORY : RestoredFrom.DISK;
        return create(RestoreSchema, { from, generation, reason: this.badMemory });
      }
    }
  }
}

function forkReport(id: string): ForkReport {
  return create(ForkReportSchema, {
    entropyReseeded: true,
    clockSet: true,
    hostname: id,
    machineId: id.slice(3).padStart(32, "0"),
    connectionsDropped: 0,
    hooks: [],
  });
}
