/** Receipts, restores, fork reports, generations and snapshots on the wire. */
import { z } from "@hono/zod-openapi";
import type {
  ForkedSandbox,
  ForkReport,
  Generation,
  Receipt,
  Restored,
  SandboxRecord,
  SnapshotRecord,
} from "../services/types.ts";
import { sandboxFields, type SandboxJson, time, toSandbox } from "./sandbox_shape.ts";

const digest = z.string().openapi({
  description: "SHA-256 of the snapshot's manifest, in hex.",
});

/** A receipt in JSON. */
export interface ReceiptJson {
  generation: number;
  digest: string | null;
  bytes: number;
  durable_at: string | null;
}

const receiptSchema: z.ZodType<ReceiptJson> = z.strictObject({
  generation: z.int().openapi({ description: "0: nothing of it is on disk yet." }),
  digest: digest.nullable(),
  bytes: z.int(),
  durable_at: time.nullable(),
}).openapi("Receipt", {
  description: "The newest generation that a crash of the host would leave.",
});

/** A sandbox that was put to rest, in JSON. */
export type RestedJson = SandboxJson & { receipt: ReceiptJson };

/** Answer of pause and hibernate. */
export const restedSchema: z.ZodType<RestedJson> = z.strictObject({
  ...sandboxFields,
  receipt: receiptSchema,
}).openapi("RestedSandbox");

/** How a sandbox came back, in JSON. */
export interface RestoredJson {
  from: Restored["from"];
  generation: number;
  reason: string | null;
}

const restoredSchema: z.ZodType<RestoredJson> = z.strictObject({
  from: z.enum(["running", "paused", "memory", "disk"]).openapi({
    description: "`memory`: it goes on where it was. `disk`: it was booted from its disk.",
  }),
  generation: z.int(),
  reason: z.string().nullable().openapi({ description: "Why its memory was not used." }),
}).openapi("Restored");

/** A sandbox that was woken, in JSON. */
export type WokenJson = SandboxJson & { restored: RestoredJson };

/** Answer of resume and rollback. */
export const wokenSchema: z.ZodType<WokenJson> = z.strictObject({
  ...sandboxFields,
  restored: restoredSchema,
}).openapi("WokenSandbox");

/** A fork report in JSON. */
export interface ForkReportJson {
  entropy_reseeded: boolean;
  clock_set: boolean;
  hostname: string;
  machine_id: string;
  connections_dropped: number;
  hooks: { name: string; exit_code: number; timed_out: boolean }[];
}

const reportSchema: z.ZodType<ForkReportJson> = z.strictObject({
  entropy_reseeded: z.boolean(),
  clock_set: z.boolean(),
  hostname: z.string(),
  machine_id: z.string(),
  connections_dropped: z.int().openapi({ description: "Connections copied with its memory." }),
  hooks: z.array(z.strictObject({
    name: z.string(),
    exit_code: z.int(),
    timed_out: z.boolean(),
  })).openapi({ description: "What ran of `/etc/wrenn/on-fork.d`." }),
}).openapi("ForkReport", { description: "What was done before its processes went on." });

/** A copy in JSON. */
export type ForkedJson = SandboxJson & { report: ForkReportJson | null };

/** Answer of fork. */
export const forkedSchema: z.ZodType<{ sandboxes: ForkedJson[] }> = z.strictObject({
  sandboxes: z.array(
    z.strictObject({ ...sandboxFields, report: reportSchema.nullable() }).openapi("ForkedSandbox"),
  ),
}).openapi("ForkedSandboxes");

/** A generation in JSON. */
export interface GenerationJson {
  generation: number;
  digest: string;
  bytes: number;
  created_at: string;
  snapshot: string | null;
}

/** Answer of the list of generations. */
export const generationsSchema: z.ZodType<{ generations: GenerationJson[] }> = z.strictObject({
  generations: z.array(
    z.strictObject({
      generation: z.int(),
      digest,
      bytes: z.int(),
      created_at: time,
      snapshot: z.string().nullable().openapi({ description: "Its id as a snapshot." }),
    }).openapi("Generation"),
  ),
}).openapi("Generations");

/** A snapshot in JSON. */
export interface SnapshotJson {
  id: string;
  name: string | null;
  sandbox_id: string;
  template: string;
  vcpus: number;
  memory_mb: number;
  disk_mb: number;
  generation: number;
  digest: string;
  bytes: number;
  host_id: string;
  created_at: string;
}

/** A snapshot as every call answers it. */
export const snapshotSchema: z.ZodType<SnapshotJson> = z.strictObject({
  id: z.string().openapi({ example: "snap-0123456789abcdef" }),
  name: z.string().nullable(),
  sandbox_id: z.string().openapi({ description: "What it was made of; that may be gone." }),
  template: z.string(),
  vcpus: z.int(),
  memory_mb: z.int(),
  disk_mb: z.int(),
  generation: z.int(),
  digest,
  bytes: z.int(),
  host_id: z.string(),
  created_at: time,
}).openapi("Snapshot");

/** One page of a list. */
export const snapshotPageSchema: z.ZodType<
  { snapshots: SnapshotJson[]; next_cursor: string | null }
> = z.strictObject({
  snapshots: z.array(snapshotSchema),
  next_cursor: z.string().nullable(),
}).openapi("SnapshotPage");

/** Answer of pause and hibernate. */
export function toRested({ sandbox, receipt }: {
  sandbox: SandboxRecord;
  receipt: Receipt;
}): RestedJson {
  const { generation, bytes, durableAt } = receipt;
  return {
    ...toSandbox(sandbox),
    receipt: {
      generation,
      digest: receipt.digest ?? null,
      bytes,
      durable_at: durableAt?.toISOString() ?? null,
    },
  };
}

/** Answer of resume and rollback. */
export function toWoken({ sandbox, restored }: {
  sandbox: SandboxRecord;
  restored: Restored;
}): WokenJson {
  const { from, generation, reason } = restored;
  return { ...toSandbox(sandbox), restored: { from, generation, reason: reason ?? null } };
}

/** A copy. */
export function toForked({ sandbox, report }: ForkedSandbox): ForkedJson {
  return { ...toSandbox(sandbox), report: report ? toReport(report) : null };
}

/** A generation. */
export function toGeneration(generation: Generation): GenerationJson {
  return {
    generation: generation.generation,
    digest: generation.digest,
    bytes: generation.bytes,
    created_at: generation.createdAt.toISOString(),
    snapshot: generation.snapshotId ?? null,
  };
}

/** A snapshot. */
export function toSnapshot(record: SnapshotRecord): SnapshotJson {
  return {
    id: record.id,
    name: record.name ?? null,
    sandbox_id: record.sandboxId,
    template: record.template,
    vcpus: record.vcpus,
    memory_mb: record.memoryMb,
    disk_mb: record.diskMb,
    generation: record.generation,
    digest: record.digest,
    bytes: record.bytes,
    host_id: record.hostId,
    created_at: record.createdAt.toISOString(),
  };
}

function toReport(report: ForkReport): ForkReportJson {
  return {
    entropy_reseeded: report.entropyReseeded,
    clock_set: report.clockSet,
    hostname: report.hostname,
    machine_id: report.machineId,
    connections_dropped: report.connectionsDropped,
    hooks: report.hooks.map(({ name, exitCode, timedOut }) => ({
      name,
      exit_code: exitCode,
      timed_out: timedOut,
    })),
  };
}
