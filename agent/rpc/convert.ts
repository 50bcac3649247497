/** Sandboxes and entries as messages. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type EntryInfo, EventType, FileType as GuestFileType } from "@wrenn/proto/filesystem";
import {
  type FileEntry,
  FileEntrySchema,
  FileType,
  OnTimeout,
  type Sandbox,
  SandboxSchema,
  SandboxStatus,
  WatchEventType,
} from "@wrenn/proto/agent";
import type { SandboxState } from "../core/sandbox_state.ts";
import type { SandboxInfo } from "../sandbox/types.ts";

const STATUS: Readonly<Record<SandboxState, SandboxStatus>> = {
  starting: SandboxStatus.STARTING,
  running: SandboxStatus.RUNNING,
  paused: SandboxStatus.PAUSED,
  stopped: SandboxStatus.STOPPED,
  error: SandboxStatus.ERROR,
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
      onTimeout: spec.onTimeout === "pause" ? OnTimeout.PAUSE : OnTimeout.DESTROY,
      network: {
        internet: spec.network.internet,
        allowOut: [...spec.network.allowOut],
        denyOut: [...spec.network.denyOut],
      },
    },
    hostIp: info.hostIp,
    createdAt: timestampFromMs(info.createdAt),
    lastActiveAt: timestampFromMs(info.lastActiveAt),
    ...(info.startedAt === undefined ? {} : { startedAt: timestampFromMs(info.startedAt) }),
    ...(info.reason ? { reasonCode: info.reason.code, reason: info.reason.message } : {}),
  };
  return create(SandboxSchema, message);
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
