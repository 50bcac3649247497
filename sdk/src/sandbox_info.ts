/** What the platform says about a sandbox. */
import { number } from "./core/exec_messages.ts";
import { WrennError } from "./errors.ts";

/** State of a sandbox. */
export type SandboxStatus =
  | "pending"
  | "starting"
  | "running"
  | "paused"
  | "hibernated"
  | "stopped"
  | "error";

/** What happens to a sandbox that was idle for its `timeoutMs`. */
export type OnTimeout = "destroy" | "pause" | "hibernate";

/**
 * A sandbox as the platform describes it.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * for await (const info of Sandbox.list({ status: ["running"] })) console.log(info.id, info.expiresAt);
 * ```
 */
export interface SandboxInfo {
  /** `sb-` and 8 hex digits. */
  readonly id: string;
  /** State. */
  readonly status: SandboxStatus;
  /** Template it was made from. */
  readonly template: string;
  /** Virtual CPUs. */
  readonly vcpus: number;
  /** Memory, MiB. */
  readonly memoryMb: number;
  /** Disk, MiB. */
  readonly diskMb: number;
  /** Idle lifetime, milliseconds; 0 = none. */
  readonly timeoutMs: number;
  /** What happens after it. */
  readonly onTimeout: OnTimeout;
  /** The creator's own labels. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Host it runs on. */
  readonly hostId?: string;
  /** Address at which that host reaches it. */
  readonly hostIp?: string;
  /** When it was asked for. */
  readonly createdAt: Date;
  /** When it began to run. */
  readonly startedAt?: Date;
  /** Last call that used it. */
  readonly lastActiveAt: Date;
  /** When it times out unless it is used. */
  readonly expiresAt?: Date;
  /** Why it stopped or failed. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** Reads a sandbox as the platform sends it. */
export function readSandboxInfo(value: unknown): SandboxInfo {
  const wire = value as Record<string, unknown>;
  if (typeof wire?.["id"] !== "string" || typeof wire["status"] !== "string") {
    throw new WrennError("invalid_response", "The platform's answer is not a sandbox");
  }
  const error = wire["error"] as { code: string; message: string } | null | undefined;
  const text = (name: string): string | undefined =>
    typeof wire[name] === "string" ? wire[name] as string : undefined;
  const date = (name: string): Date | undefined => {
    const value = text(name);
    return value === undefined ? undefined : new Date(value);
  };
  return defined({
    id: wire["id"],
    status: wire["status"] as SandboxStatus,
    template: text("template") ?? "",
    vcpus: number(wire, "vcpus"),
    memoryMb: number(wire, "memory_mb"),
    diskMb: number(wire, "disk_mb"),
    timeoutMs: number(wire, "timeout_sec") * 1000,
    onTimeout: (text("on_timeout") ?? "destroy") as OnTimeout,
    metadata: (wire["metadata"] ?? {}) as Record<string, string>,
    hostId: text("host_id"),
    hostIp: text("host_ip"),
    createdAt: date("created_at") ?? new Date(NaN),
    startedAt: date("started_at"),
    lastActiveAt: date("last_active_at") ?? new Date(NaN),
    expiresAt: date("expires_at"),
    error: error ? { code: error.code, message: error.message } : undefined,
  });
}

type Defined<T> =
  & { [K in keyof T as undefined extends T[K] ? never : K]: T[K] }
  & { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> };

/** The same object without its undefined fields. */
function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Defined<T>;
}
