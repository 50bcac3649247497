/** A sandbox as the agent knows it. */
import type { SandboxId, SnapshotId } from "@wrenn/common";
import type { OnTimeout } from "../core/idle.ts";
import type { SandboxState } from "../core/sandbox_state.ts";
import type { NetworkPolicy } from "../network/slots.ts";

/** What a sandbox was asked to be. */
export interface SandboxSpec {
  readonly template: string;
  readonly vcpus: number;
  readonly memoryMb: number;
  /** 0 = the template's own size; the real one once the disk exists. */
  readonly diskMb: number;
  /** Idle lifetime, seconds; 0 = none. */
  readonly timeoutSec: number;
  readonly onTimeout: OnTimeout;
  readonly env: Readonly<Record<string, string>>;
  readonly network: NetworkPolicy;
}

/** A create request: who the sandbox is and what it shall be. */
export interface SandboxOrder {
  readonly id: SandboxId;
  /** One per start. */
  readonly executionId: string;
  readonly spec: SandboxSpec;
}

/** Why a sandbox stopped or failed: a Wrenn error code or `timeout`, and a sentence. */
export interface EndReason {
  readonly code: string;
  readonly message: string;
}

/** A sandbox at one moment. Times are wall-clock milliseconds. */
export interface SandboxInfo {
  readonly id: SandboxId;
  readonly executionId: string;
  readonly state: SandboxState;
  readonly spec: SandboxSpec;
  /** Address at which the host reaches the guest; empty before it has one. */
  readonly hostIp: string;
  readonly createdAt: number;
  readonly startedAt: number | undefined;
  readonly lastActiveAt: number;
  readonly reason: EndReason | undefined;
  /** Newest generation on disk; 0 before the first one. */
  readonly generation: number;
}

/** A moment of a sandbox that is on disk. */
export interface Generation {
  /** Counts up from 1 in the life of a sandbox. */
  readonly generation: number;
  readonly snapshotId: SnapshotId;
  readonly digest: string;
  /** Bytes that it added on disk. */
  readonly bytes: number;
  /** When it was on disk, synced. Wall-clock milliseconds. */
  readonly durableAt: number;
  /** Somebody asked for it as a snapshot: it does not go with the sandbox. */
  readonly named: boolean;
}

/** How a sandbox came back. */
export interface Restored {
  /**
   * `running`: it was. `paused`: its process was there. `memory`: from files. `disk`: its memory was lost or of no
   * use, its disk was booted.
   */
  readonly from: "running" | "paused" | "memory" | "disk";
  readonly generation: number;
  /** Why the memory was not used; empty otherwise. */
  readonly reason: string;
}
