/** Between the agent's messages and the control plane's own words. */
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  OnTimeout,
  type Sandbox,
  type SandboxSpecSchema,
  SandboxStatus as Live,
} from "@wrenn/proto/agent";
import type { LiveSandbox } from "../core/reconcile_plan.ts";
import type { HostFacts } from "../db/sandboxes.ts";
import type { CreateSandbox } from "../services/types.ts";

const STATUS: Readonly<Partial<Record<Live, LiveSandbox["status"]>>> = {
  [Live.STARTING]: "starting",
  [Live.RUNNING]: "running",
  [Live.PAUSED]: "paused",
  [Live.STOPPED]: "stopped",
  [Live.ERROR]: "error",
};

/** A create request as the agent takes it. */
export function toSpec(request: CreateSandbox): MessageInitShape<typeof SandboxSpecSchema> {
  return {
    template: request.template,
    vcpus: request.vcpus,
    memoryMb: request.memoryMb,
    diskMb: request.diskMb,
    timeoutSec: request.timeoutSec,
    onTimeout: request.onTimeout === "pause" ? OnTimeout.PAUSE : OnTimeout.DESTROY,
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
