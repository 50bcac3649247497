/** Between the agent's messages and the control plane's own words. */
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ForkReport as WireReport,
  type Generation as WireGeneration,
  OnTimeout,
  type Receipt as WireReceipt,
  type Restore,
  RestoredFrom,
  type Sandbox,
  type SandboxSpecSchema,
  SandboxStatus as Live,
} from "@wrenn/proto/agent";
import type { LiveSandbox } from "../core/reconcile_plan.ts";
import type { HostFacts } from "../db/sandboxes.ts";
import type {
  CreateSandbox,
  ForkReport,
  Generation,
  Receipt,
  Restored,
} from "../services/types.ts";

const STATUS: Readonly<Partial<Record<Live, LiveSandbox["status"]>>> = {
  [Live.STARTING]: "starting",
  [Live.RUNNING]: "running",
  [Live.PAUSED]: "paused",
  [Live.HIBERNATED]: "hibernated",
  [Live.STOPPED]: "stopped",
  [Live.ERROR]: "error",
};

const ON_TIMEOUT: Readonly<Record<CreateSandbox["onTimeout"], OnTimeout>> = {
  destroy: OnTimeout.DESTROY,
  pause: OnTimeout.PAUSE,
  hibernate: OnTimeout.HIBERNATE,
};

const RESTORED_FROM: Readonly<Record<RestoredFrom, Restored["from"]>> = {
  [RestoredFrom.UNSPECIFIED]: "running",
  [RestoredFrom.RUNNING]: "running",
  [RestoredFrom.PAUSED]: "paused",
  [RestoredFrom.MEMORY]: "memory",
  [RestoredFrom.DISK]: "disk",
};

/** A create request as the agent takes it. */
export function toSpec(request: CreateSandbox): MessageInitShape<typeof SandboxSpecSchema> {
  return {
    template: request.template,
    vcpus: request.vcpus,
    memoryMb: request.memoryMb,
    diskMb: request.diskMb,
    timeoutSec: request.timeoutSec,
    onTimeout: ON_TIMEOUT[request.onTimeout],
    env: { ...request.env },
    network: {
      internet: request.network.internet,
      allowOut: [...request.network.allowOut],
      denyOut: [...request.network.denyOut],
    },
  };
}

/** What a row takes over from its host. */
export function toFacts(sandbox: Sandbox | undefined): HostFacts {
  return {
    hostIp: sandbox?.hostIp || undefined,
    startedAt: toDate(sandbox?.startedAt),
    lastActiveAt: toDate(sandbox?.lastActiveAt),
    diskMb: sandbox?.spec?.diskMb || undefined,
  };
}

/** A receipt. */
export function toReceipt(receipt: WireReceipt | undefined): Receipt {
  return {
    generation: Number(receipt?.generation ?? 0n),
    digest: receipt?.digest || undefined,
    bytes: Number(receipt?.bytes ?? 0n),
    durableAt: toDate(receipt?.durableAt),
  };
}

/** How a sandbox came back. */
export function toRestored(restore: Restore | undefined): Restored {
  return {
    from: RESTORED_FROM[restore?.from ?? RestoredFrom.UNSPECIFIED],
    generation: Number(restore?.generation ?? 0n),
    reason: restore?.reason || undefined,
  };
}

/** What was done to a copy. */
export function toForkReport(report: WireReport | undefined): ForkReport | undefined {
  return report && {
    entropyReseeded: report.entropyReseeded,
    clockSet: report.clockSet,
    hostname: report.hostname,
    machineId: report.machineId,
    connectionsDropped: report.connectionsDropped,
    hooks: report.hooks.map(({ name, exitCode, timedOut }) => ({ name, exitCode, timedOut })),
  };
}

/** A generation. */
export function toGeneration(generation: WireGeneration): Generation {
  return {
    generation: Number(generation.generation),
    digest: generation.digest,
    bytes: Number(generation.bytes),
    createdAt: toDate(generation.createdAt) ?? new Date(0),
    snapshotId: generation.snapshotId || undefined,
  };
}

/** A listed sandbox as the reconciler sees it; undefined for a state that this version does not know. */
export function toLive(sandbox: Sandbox): LiveSandbox | undefined {
  const status = STATUS[sandbox.status];
  if (status === undefined) return undefined;
  const { id, executionId, reasonCode, reason } = sandbox;
  return {
    id,
    executionId,
    status,
    createdAt: toMs(sandbox.createdAt),
    lastActiveAt: toMs(sandbox.lastActiveAt),
    reason: reasonCode === "" ? undefined : { code: reasonCode, message: reason },
  };
}

function toMs(time: Timestamp | undefined): number {
  return time ? timestampMs(time) : 0;
}

function toDate(time: Timestamp | undefined): Date | undefined {
  return time && new Date(timestampMs(time));
}
