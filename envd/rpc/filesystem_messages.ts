/** Entries and changes as messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type EntryInfoSchema,
  EventType,
  type FilesystemEventSchema,
  FileType,
} from "@wrenn/proto/filesystem";
import type { ChangeKind } from "../core/inotify.ts";
import type { Entry } from "../files/entry.ts";

const FILE_TYPES: Readonly<Record<Entry["type"], FileType>> = {
  file: FileType.FILE,
  directory: FileType.DIRECTORY,
  symlink: FileType.SYMLINK,
  other: FileType.UNSPECIFIED,
};

/** Kinds of change on the wire. */
const EVENT_TYPES: Readonly<Record<ChangeKind, EventType>> = {
  create: EventType.CREATE,
  write: EventType.WRITE,
  remove: EventType.REMOVE,
  rename: EventType.RENAME,
  chmod: EventType.CHMOD,
};

/** `EntryInfo` of an entry. */
export function entryMessage(entry: Entry): MessageInitShape<typeof EntryInfoSchema> {
  return {
    name: entry.name,
    type: FILE_TYPES[entry.type],
    path: entry.path,
    size: BigInt(entry.size),
    mode: entry.mode,
    permissions: entry.permissions,
    owner: entry.owner,
    group: entry.group,
    modifiedTime: timestampFromMs(entry.modifiedMs),
    metadata: entry.metadata,
    ...(entry.symlinkTarget === undefined ? {} : { symlinkTarget: entry.symlinkTarget }),
  };
}

/** `FilesystemEvent` of a change, with what was found at its path when that was read. */
export function eventMessage(
  name: string,
  kind: ChangeKind,
  entry: Entry | undefined,
): MessageInitShape<typeof FilesystemEventSchema> {
  return {
    name,
    type: EVENT_TYPES[kind],
    ...(entry === undefined ? {} : { entry: entryMessage(entry) }),
  };
}
