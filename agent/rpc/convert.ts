/** Sandboxes and entries as messages. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type EntryInfo, EventType, FileType as GuestFileType } from "@wrenn/proto/filesystem";
import {
  type FileEntry,
  FileEntrySchema,
  FileType,
  type ForkReport,
  ForkReportSchema,
  type Generation as WireGeneration,
  GenerationSchema,
  OnTimeout,
  type Receipt,
  ReceiptSchema,
  type Restore,
  RestoredFrom,
  RestoreSchema,
  type Sandbox,
  SandboxSchema,
  SandboxStatus,
  type Snapshot as WireSnapshot,
  SnapshotSchema,
  WatchEventType,
} from "@wrenn/proto/agent";
import type { SandboxState } from "../core/sandbox_state.ts";
import type { GuestReport } from "../guest/guest.ts";
import type { Generation, Restored, SandboxInfo, SandboxSpec } from "../sandbox/types.ts";
import type { Snapshot } from "../snapshot/mod.ts";

const STATUS: Readonly<Record<SandboxState, SandboxStatus>> = {
  starting: SandboxStatus.STARTING,
  running: SandboxStatus.RUNNING,
  paused: SandboxStatus.PAUSED,
  hibernated: SandboxStatus.HIBERNATED,
  stopped: SandboxStatus.STOPPED,
  error: SandboxStatus.ERROR,
};

const ON_TIMEOUT: Readonly<Record<SandboxSpec["onTimeout"], OnTimeout>> = {
  destroy: OnTimeout.DESTROY,
  pause: OnTimeout.PAUSE,
  hibernate: OnTimeout.HIBERNATE,
};

const RESTORED_FROM: Readonly<Record<Restored["from"], RestoredFrom>> = {
  running: RestoredFrom.RUNNING,
  paused: RestoredFrom.PAUSED,
  memory: RestoredFrom.MEMORY,
  disk: RestoredFrom.DISK,
};

const FILE_TYPES: Readonly<Record<GuestFileType, FileType>> = {
  [GuestFileType.UNSPECIFIED]: FileType.UNSPECIFIED,
  [GuestFileType.FILE]: FileType.FILE,
  [GuestFileType.DIRECTORY]: FileType.DIRECTORY,
  [GuestFileType.SYMLINK]: FileType.SYMLINK,
};

const EVENT_TYPES: Readonly<Record<EventType, WatchEventType>> = {
  [EventType.UNSPECIFIED]: WatchEventType.UNSPECIFIED,
  [EventType.CREATE]: WatchEventType.CREATE,
  [EventType.WRITE]: WatchEventType.WRITE,
  [EventType.REMOVE]: WatchEventType.REMOVE,
  [EventType.RENAME]: WatchEventType.RENAME,
  [EventType.CHMOD]: WatchEventType.CHMOD,
};

/** A sandbox on the wire. The environment stays here: it may hold secrets. */
export function toSandbox(info: SandboxInfo): Sandbox {
  const { spec } = info;
  const message: MessageInitShape<typeof SandboxSchema> = {
    id: info.id,
    executionId: info.executionId,
    status: STATUS[info.state],
    spec: {
      template: spec.template,
      vcpus: spec.vcpus,
      memoryMb: spec.memoryMb,
      diskMb: spec.diskMb,
      timeoutSec: spec.timeoutSec,
      onTimeout: ON_TIMEOUT[spec.onTimeout],
      network: {
        internet: spec.network.internet,
        allowOut: [...spec.network.allowOut],
        denyOut: [...spec.network.denyOut],
      },
    },
    hostIp: info.hostIp,
    createdAt: timestampFromMs(info.createdAt),
    lastActiveAt: timestampFromMs(info.lastActiveAt),
    generation: BigInt(info.generation),
    ...(info.startedAt === undefined ? {} : { startedAt: timestampFromMs(info.startedAt) }),
    ...(info.reason ? { reasonCode: info.reason.code, reason: info.reason.message } : {}),
  };
  return create(SandboxSchema, message);
}

/** What a crash of the host would leave: the newest generation, or nothing. */
export function toReceipt(newest: Generation | undefined): Receipt {
  if (newest === undefined) return create(ReceiptSchema, {});
  return create(ReceiptSchema, {
    generation: BigInt(newest.generation),
    digest: newest.digest,
    bytes: BigInt(newest.bytes),
    durableAt: timestampFromMs(newest.durableAt),
  });
}

/** How a sandbox came back. */
export function toRestore({ from, generation, reason }: Restored): Restore {
  const init = { from: RESTORED_FROM[from], generation: BigInt(generation), reason };
  return create(RestoreSchema, init);
}

/** What was done to a copy. */
export function toForkReport(report: GuestReport): ForkReport {
  return create(ForkReportSchema, {
    entropyReseeded: report.entropyReseeded,
    clockSet: report.clockSet,
    hostname: report.hostname,
    machineId: report.machineId,
    connectionsDropped: report.connectionsDropped,
    hooks: report.hooks.map((hook) => ({ ...hook })),
  });
}

/** A generation on the wire. */
export function toGeneration(generation: Generation): WireGeneration {
  return create(GenerationSchema, {
    generation: BigInt(generation.generation),
    digest: generation.digest,
    bytes: BigInt(generation.bytes),
    createdAt: timestampFromMs(generation.durableAt),
    ...(generation.named ? { snapshotId: generation.snapshotId } : {}),
  });
}

/** A snapshot that somebody asked for. */
export function toSnapshot({ id, manifest }: Snapshot): WireSnapshot {
  return create(SnapshotSchema, {
    id,
    sandboxId: manifest.sandbox_id ?? "",
    template: manifest.template.name,
    vcpus: manifest.vcpus,
    memoryMb: manifest.memory_mb,
    diskMb: manifest.disk_mb,
    generation: BigInt(manifest.generation),
    digest: manifest.digest,
    bytes: BigInt(manifest.bytes),
    createdAt: timestampFromDate(new Date(manifest.created_at)),
  });
}

/** A directory entry on the wire. What a guest says of its files is the guest's word. */
export function toFileEntry(entry: EntryInfo): FileEntry {
  return create(FileEntrySchema, {
    name: entry.name,
    path: entry.path,
    type: FILE_TYPES[entry.type] ?? FileType.UNSPECIFIED,
    size: entry.size < 0n ? 0n : entry.size,
    mode: entry.mode,
    owner: entry.owner,
    group: entry.group,
    ...(entry.modifiedTime ? { modifiedAt: entry.modifiedTime } : {}),
    ...(entry.symlinkTarget === undefined ? {} : { symlinkTarget: entry.symlinkTarget }),
  });
}

/** A change in a watched directory. */
export function toWatchEventType(type: EventType): WatchEventType {
  return EVENT_TYPES[type] ?? WatchEventType.UNSPECIFIED;
}
