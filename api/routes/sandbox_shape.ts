/** A sandbox on the wire: what goes in at create and what comes out everywhere. */
import { z } from "@hono/zod-openapi";
import { normalizeCidr } from "../core/cidr.ts";
import type { CreateSandbox, SandboxRecord, SandboxStatus } from "../services/types.ts";
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

/** A validated create body, defaults filled in. */
export interface CreateBody {
  readonly template: string;
  readonly vcpus: number;
  readonly memory_mb: number;
  readonly disk_mb: number;
  readonly timeout_sec: number;
  readonly on_timeout: "destroy" | "pause";
  readonly env: Record<string, string>;
  readonly metadata: Record<string, string>;
  readonly network: { internet: boolean; allow_out: string[]; deny_out: string[] };
}

/** Body of `POST /v1/sandboxes`. */
export const createBody: z.ZodType<CreateBody> = z.strictObject({
  template: templateName.default("base"),
  vcpus: z.int().min(1).max(8).default(1),
  memory_mb: z.int().min(128).max(16_384).default(512),
  disk_mb: z.int().min(0).max(1_048_576).default(0).openapi({
    description: "Disk size; 0 is the template's own.",
  }),
  timeout_sec: z.int().min(0).max(2_592_000).default(0).openapi({
    description: "Idle lifetime: the sandbox ends this long after its last use; 0 is never.",
  }),
  on_timeout: z.enum(["destroy", "pause"]).default("destroy"),
  env: env.default({}),
  metadata: metadata.default({}),
  network: network.prefault({}),
}).openapi("CreateSandbox");

/** A validated body as the service takes it. */
export function toCreate(body: CreateBody): CreateSandbox {
  return {
    template: body.template,
    vcpus: body.vcpus,
    memoryMb: body.memory_mb,
    diskMb: body.disk_mb,
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

const time = z.iso.datetime().openapi({ example: "2026-01-31T12:00:00.000Z" });

/** A sandbox in JSON. */
export interface SandboxJson {
  id: string;
  status: SandboxStatus;
  template: string;
  vcpus: number;
  memory_mb: number;
  disk_mb: number;
  timeout_sec: number;
  on_timeout: "destroy" | "pause";
  metadata: Record<string, string>;
  host_id: string | null;
  host_ip: string | null;
  created_at: string;
  started_at: string | null;
  last_active_at: string;
  expires_at: string | null;
  error?: { code: string; message: string } | undefined;
}

/** A sandbox as every call answers it. */
export const sandboxSchema: z.ZodType<SandboxJson> = z.strictObject({
  id: z.string().openapi({ example: "sb-1a2b3c4d" }),
  status: statusSchema,
  template: z.string(),
  vcpus: z.int(),
  memory_mb: z.int(),
  disk_mb: z.int(),
  timeout_sec: z.int(),
  on_timeout: z.enum(["destroy", "pause"]),
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
}).openapi("Sandbox");

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
