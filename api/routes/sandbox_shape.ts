/** A sandbox on the wire: what goes in at create and what comes out everywhere. */
import { z } from "@hono/zod-openapi";
import { normalizeCidr } from "../core/cidr.ts";
import { isSnapshotId, type SnapshotId } from "@wrenn/common";
import type { CreateSandbox, OnTimeout, SandboxRecord, SandboxStatus } from "../services/types.ts";
import { env, metadata } from "./schemas.ts";

const STATUSES = [
  "pending",
  "starting",
  "running",
  "paused",
  "hibernated",
  "stopped",
  "error",
] as const satisfies readonly SandboxStatus[];

/** States by name. */
export const statusSchema: z.ZodEnum<{ [S in SandboxStatus]: S }> = z.enum(STATUSES);

/** Template names. */
export const templateName: z.ZodString = z.string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, "Must be a template name: a-z, 0-9, '.', '_', '-'")
  .openapi({ description: "Template", example: "base" });

const ON_TIMEOUT = ["destroy", "pause", "hibernate"] as const satisfies readonly OnTimeout[];

/** Snapshot ids. */
export const snapshotIdSchema: z.ZodType<SnapshotId> = z.string()
  .refine(isSnapshotId, { error: "Must be a snapshot id" })
  .openapi({ type: "string", description: "Snapshot id", example: "snap-0123456789abcdef" });

const cidrs = z.array(z.string()).max(256).transform((list, ctx) =>
  list.map((item, i) => {
    const cidr = normalizeCidr(item);
    if (cidr === undefined) {
      ctx.addIssue({ code: "custom", message: "Must be an IPv4 network 'a.b.c.d/n'", path: [i] });
    }
    return cidr ?? item;
  })
).openapi({ type: "array", items: { type: "string", example: "203.0.113.0/24" }, maxItems: 256 });

const network = z.strictObject({
  internet: z.boolean().default(true).openapi({
    description: "False: the guest opens no connections at all.",
  }),
  allow_out: cidrs.default([]),
  deny_out: cidrs.default([]),
}).openapi("Network", {
  description:
    "What the guest may reach. An allowed network beats a denied one; private ranges stay closed.",
});

/** A validated create body. */
export interface CreateBody {
  readonly snapshot?: SnapshotId | undefined;
  readonly template?: string | undefined;
  readonly vcpus?: number | undefined;
  readonly memory_mb?: number | undefined;
  readonly disk_mb?: number | undefined;
  readonly timeout_sec: number;
  readonly on_timeout: OnTimeout;
  readonly env: Record<string, string>;
  readonly metadata: Record<string, string>;
  readonly network: { internet: boolean; allow_out: string[]; deny_out: string[] };
}

/** What a snapshot has settled. */
const FROM_SNAPSHOT = ["template", "vcpus", "memory_mb", "disk_mb"] as const;

/** Body of `POST /v1/sandboxes`. */
export const createBody: z.ZodType<CreateBody> = z.strictObject({
  snapshot: snapshotIdSchema.optional().openapi({
    description:
      "Start from this snapshot, in its own size: without `template`, `vcpus`, `memory_mb`, `disk_mb`.",
  }),
  template: templateName.optional().openapi({ default: "base" }),
  vcpus: z.int().min(1).max(8).optional().openapi({ default: 1 }),
  memory_mb: z.int().min(128).max(16_384).optional().openapi({ default: 512 }),
  disk_mb: z.int().min(0).max(1_048_576).optional().openapi({
    description: "Disk size; 0 is the template's own.",
    default: 0,
  }),
  timeout_sec: z.int().min(0).max(2_592_000).default(0).openapi({
    description: "Idle lifetime: what `on_timeout` says happens this long after the last use; " +
      "0 is never.",
  }),
  on_timeout: z.enum(ON_TIMEOUT).default("destroy"),
  env: env.default({}),
  metadata: metadata.default({}),
  network: network.prefault({}),
}).superRefine((body, ctx) => {
  if (body.snapshot === undefined) return;
  for (const name of FROM_SNAPSHOT) {
    if (body[name] === undefined) continue;
    ctx.addIssue({ code: "custom", message: "Must not come with 'snapshot'", path: [name] });
  }
}).openapi("CreateSandbox");

/** A validated body as the service takes it, defaults filled in. */
export function toCreate(body: CreateBody): CreateSandbox {
  return {
    ...(body.snapshot === undefined ? {} : { snapshot: body.snapshot }),
    template: body.template ?? "base",
    vcpus: body.vcpus ?? 1,
    memoryMb: body.memory_mb ?? 512,
    diskMb: body.disk_mb ?? 0,
    timeoutSec: body.timeout_sec,
    onTimeout: body.on_timeout,
    env: body.env,
    metadata: body.metadata,
    network: {
      internet: body.network.internet,
      allowOut: body.network.allow_out,
      denyOut: body.network.deny_out,
    },
  };
}

/** Moments. */
export const time: z.ZodType<string> = z.iso.datetime().openapi({
  example: "2026-01-31T12:00:00.000Z",
});

/** A sandbox in JSON. */
export interface SandboxJson {
  id: string;
  status: SandboxStatus;
  template: string;
  vcpus: number;
  memory_mb: number;
  disk_mb: number;
  timeout_sec: number;
  on_timeout: OnTimeout;
  metadata: Record<string, string>;
  host_id: string | null;
  host_ip: string | null;
  created_at: string;
  started_at: string | null;
  last_active_at: string;
  expires_at: string | null;
  error?: { code: string; message: string } | undefined;
}

/** What every call answers of a sandbox. */
export const sandboxFields: { [F in keyof Required<SandboxJson>]: z.ZodType<SandboxJson[F]> } = {
  id: z.string().openapi({ example: "sb-1a2b3c4d" }),
  status: statusSchema,
  template: z.string(),
  vcpus: z.int(),
  memory_mb: z.int(),
  disk_mb: z.int(),
  timeout_sec: z.int(),
  on_timeout: z.enum(ON_TIMEOUT),
  metadata: z.record(z.string(), z.string()),
  host_id: z.string().nullable(),
  host_ip: z.string().nullable().openapi({
    description: "Where the host reaches the guest.",
    example: "10.11.0.1",
  }),
  created_at: time,
  started_at: time.nullable(),
  last_active_at: time,
  expires_at: time.nullable().openapi({ description: "When the idle lifetime ends." }),
  error: z.strictObject({ code: z.string(), message: z.string() }).optional().openapi({
    description: "Why it stopped or failed.",
  }),
};

/** A sandbox as most calls answer it. */
export const sandboxSchema: z.ZodType<SandboxJson> = z.strictObject(sandboxFields)
  .openapi("Sandbox");

/** One page of a list. */
export const pageSchema: z.ZodType<{ sandboxes: SandboxJson[]; next_cursor: string | null }> = z
  .strictObject({
    sandboxes: z.array(sandboxSchema),
    next_cursor: z.string().nullable().openapi({
      description: "Give it as `cursor` for the next page; null on the last one.",
    }),
  }).openapi("SandboxPage");

/** A record as the wire shows it. */
export function toSandbox(record: SandboxRecord): SandboxJson {
  return {
    id: record.id,
    status: record.status,
    template: record.template,
    vcpus: record.vcpus,
    memory_mb: record.memoryMb,
    disk_mb: record.diskMb,
    timeout_sec: record.timeoutSec,
    on_timeout: record.onTimeout,
    metadata: { ...record.metadata },
    host_id: record.hostId ?? null,
    host_ip: record.hostIp ?? null,
    created_at: record.createdAt.toISOString(),
    started_at: record.startedAt?.toISOString() ?? null,
    last_active_at: record.lastActiveAt.toISOString(),
    expires_at: record.expiresAt?.toISOString() ?? null,
    ...(record.error ? { error: { ...record.error } } : {}),
  };
}
