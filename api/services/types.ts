/** The use cases of the control plane, as the wires call them. */
import type { Client } from "@connectrpc/connect";
import type { AgentService } from "@wrenn/proto/agent";
import type { SandboxId, SnapshotId } from "@wrenn/common";

/** Who calls: the team and the key of an authenticated request. */
export interface Principal {
  /** Team that owns what the call makes and sees. */
  readonly teamId: string;
  /** Key that was used. */
  readonly keyId: string;
}

/** State of a sandbox as the wire shows it. */
export type SandboxStatus =
  | "pending"
  | "starting"
  | "running"
  | "paused"
  | "hibernated"
  | "stopped"
  | "error";

/** What becomes of a sandbox that was idle for its timeout. */
export type OnTimeout = "destroy" | "pause" | "hibernate";

/** What a guest may reach. */
export interface NetworkOptions {
  /** Default true. */
  readonly internet: boolean;
  /** IPv4 CIDRs. */
  readonly allowOut: readonly string[];
  /** IPv4 CIDRs. */
  readonly denyOut: readonly string[];
}

/** A validated create request. */
export interface CreateSandbox {
  readonly template: string;
  readonly vcpus: number;
  readonly memoryMb: number;
  /** 0 = the template's size. */
  readonly diskMb: number;
  /** Idle lifetime, seconds; 0 = none. */
  readonly timeoutSec: number;
  readonly onTimeout: OnTimeout;
  readonly env: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly network: NetworkOptions;
  /** Start from this snapshot: template and sizes come from it. */
  readonly snapshot?: SnapshotId | undefined;
}

/** How to create. */
export interface CreateOptions {
  /** A request that is repeated with the same key makes one sandbox. At most 255 characters. */
  readonly idempotencyKey?: string;
  /** Filled with the milliseconds of the steps, by name. */
  readonly timing?: Map<string, number>;
}

/** A sandbox as the control plane knows it. */
export interface SandboxRecord {
  readonly id: SandboxId;
  readonly teamId: string;
  readonly status: SandboxStatus;
  readonly template: string;
  readonly vcpus: number;
  readonly memoryMb: number;
  readonly diskMb: number;
  readonly timeoutSec: number;
  readonly onTimeout: OnTimeout;
  readonly metadata: Readonly<Record<string, string>>;
  readonly hostId: string | undefined;
  readonly hostIp: string | undefined;
  readonly executionId: string;
  readonly createdAt: Date;
  readonly startedAt: Date | undefined;
  readonly lastActiveAt: Date;
  /** `lastActiveAt` + `timeoutSec`; undefined without a timeout and when it does not run. */
  readonly expiresAt: Date | undefined;
  /** Why it stopped or failed. */
  readonly error: { readonly code: string; readonly message: string } | undefined;
}

/** Filters and page of a list. */
export interface ListSandboxes {
  /** Default: all but `stopped` and `error`. */
  readonly status?: readonly SandboxStatus[];
  readonly template?: string;
  /** Every pair must match. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** 1 to 100. */
  readonly limit: number;
  /** From the page before. */
  readonly cursor?: string;
}

/** One page. */
export interface SandboxPage {
  readonly sandboxes: readonly SandboxRecord[];
  readonly nextCursor: string | undefined;
}

/** Client of one host agent. */
export type AgentClient = Client<typeof AgentService>;

/** A running sandbox and the agent that has it. */
export interface OpenSandbox {
  readonly sandbox: SandboxRecord;
  readonly agent: AgentClient;
}

/** What a crash of the host would leave of a sandbox: its newest generation on disk. */
export interface Receipt {
  /** 0 = none yet. */
  readonly generation: number;
  readonly digest: string | undefined;
  readonly bytes: number;
  readonly durableAt: Date | undefined;
}

/** How a sandbox came back. */
export interface Restored {
  readonly from: "running" | "paused" | "memory" | "disk";
  readonly generation: number;
  /** Why its memory was not used. */
  readonly reason: string | undefined;
}

/** What was done to a copy before its processes went on. */
export interface ForkReport {
  readonly entropyReseeded: boolean;
  readonly clockSet: boolean;
  readonly hostname: string;
  readonly machineId: string;
  readonly connectionsDropped: number;
  readonly hooks: readonly {
    readonly name: string;
    readonly exitCode: number;
    readonly timedOut: boolean;
  }[];
}

/** A copy of a sandbox. */
export interface ForkedSandbox {
  readonly sandbox: SandboxRecord;
  /** Absent for a copy that was there already. */
  readonly report: ForkReport | undefined;
}

/** A moment that a sandbox can be rolled back to. */
export interface Generation {
  readonly generation: number;
  readonly digest: string;
  readonly bytes: number;
  readonly createdAt: Date;
  /** Set when somebody asked for it as a snapshot. */
  readonly snapshotId: string | undefined;
}

/**
 * Life cycle of sandboxes. Every method throws WrennError: `sandbox_not_found` for an id that does not exist
 * or belongs to another team, `conflict` / `sandbox_paused` / `sandbox_not_running` for a state that forbids
 * the call, `host_unavailable` when the agent does not answer.
 */
export interface SandboxService {
  /** Answers when the sandbox runs. Throws also `template_not_found`, `snapshot_not_found`, `capacity_exhausted`. */
  create(who: Principal, request: CreateSandbox, options?: CreateOptions): Promise<SandboxRecord>;
  list(who: Principal, query: ListSandboxes): Promise<SandboxPage>;
  get(who: Principal, id: SandboxId): Promise<SandboxRecord>;
  /** Idempotent for a sandbox that has stopped: it answers without error. */
  destroy(who: Principal, id: SandboxId): Promise<void>;
  /** Idempotent. */
  pause(who: Principal, id: SandboxId): Promise<{ sandbox: SandboxRecord; receipt: Receipt }>;
  /** Idempotent. */
  hibernate(who: Principal, id: SandboxId): Promise<{ sandbox: SandboxRecord; receipt: Receipt }>;
  /** Idempotent. */
  resume(who: Principal, id: SandboxId): Promise<{ sandbox: SandboxRecord; restored: Restored }>;
  /** Copies of a running or paused sandbox: all of them, or none and an error. */
  fork(who: Principal, id: SandboxId, count: number): Promise<ForkedSandbox[]>;
  /** Newest first. */
  generations(who: Principal, id: SandboxId): Promise<Generation[]>;
  /** Back to a generation, in place; it runs afterwards. Throws also `snapshot_not_found`, `snapshot_corrupt`. */
  rollback(
    who: Principal,
    id: SandboxId,
    generation: number,
  ): Promise<{ sandbox: SandboxRecord; restored: Restored }>;
  /** Moves the idle deadline. */
  ping(who: Principal, id: SandboxId): Promise<SandboxRecord>;
  /** The sandbox for an exec or a file call: must be running; counts as activity. */
  open(who: Principal, id: SandboxId): Promise<OpenSandbox>;
}

/** A snapshot that somebody asked for. */
export interface SnapshotRecord {
  readonly id: SnapshotId;
  readonly teamId: string;
  /** Sandbox that it was made of; that may be gone. */
  readonly sandboxId: string;
  readonly hostId: string;
  readonly name: string | undefined;
  readonly template: string;
  readonly vcpus: number;
  readonly memoryMb: number;
  readonly diskMb: number;
  readonly generation: number;
  readonly digest: string;
  readonly bytes: number;
  readonly createdAt: Date;
}

/** Filters and page of a list of snapshots. */
export interface ListSnapshots {
  readonly sandboxId?: string;
  readonly name?: string;
  /** 1 to 100. */
  readonly limit: number;
  readonly cursor?: string;
}

/** One page. */
export interface SnapshotPage {
  readonly snapshots: readonly SnapshotRecord[];
  readonly nextCursor: string | undefined;
}

/** Snapshots. Throws `snapshot_not_found` for an id that does not exist or belongs to another team. */
export interface SnapshotService {
  /** Of a running or paused sandbox, which goes on. Throws as {@linkcode SandboxService}, and `no_space`. */
  create(who: Principal, sandbox: SandboxId, name: string | undefined): Promise<SnapshotRecord>;
  list(who: Principal, query: ListSnapshots): Promise<SnapshotPage>;
  get(who: Principal, id: SnapshotId): Promise<SnapshotRecord>;
  /** Sandboxes made of it live on. */
  delete(who: Principal, id: SnapshotId): Promise<void>;
}

/** Authentication by API key. */
export interface KeyService {
  /** The key's owner, or undefined. Keys are looked up by hash. */
  authenticate(key: string): Promise<Principal | undefined>;
}

/** Is the platform able to serve: database and at least one agent answer. */
export interface ReadinessService {
  check(): Promise<{ ready: boolean; checks: Record<string, "ok" | string> }>;
}
