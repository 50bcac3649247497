/** inotify(7): masks, records, and what they mean on the wire. */

/** Bits of an inotify event. */
export const Mask = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  UNMOUNT: 0x2000,
  Q_OVERFLOW: 0x4000,
  IGNORED: 0x8000,
  ONLYDIR: 0x1000000,
  ISDIR: 0x40000000,
} as const;

/** What a watched directory reports. */
export const WATCH_MASK: number = Mask.MODIFY | Mask.ATTRIB | Mask.MOVED_FROM | Mask.MOVED_TO |
  Mask.CREATE | Mask.DELETE | Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.ONLYDIR;

/** One record. */
export interface InotifyRecord {
  /** Watch descriptor. */
  watch: number;
  /** Bits of {@linkcode Mask}. */
  mask: number;
  /** Name within the directory; empty for the directory itself. */
  name: string;
}

/** Kinds of change, as E2B names them. */
export type ChangeKind = "create" | "write" | "remove" | "rename" | "chmod";

/** The records in a buffer that read(2) filled. */
export function parseRecords(buffer: Uint8Array<ArrayBuffer>): InotifyRecord[] {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const decoder = new TextDecoder();
  const records: InotifyRecord[] = [];
  for (let at = 0; at + 16 <= buffer.length;) {
    const size = view.getUint32(at + 12, true);
    const raw = buffer.subarray(at + 16, at + 16 + size);
    const end = raw.indexOf(0);
    records.push({
      watch: view.getInt32(at, true),
      mask: view.getUint32(at + 4, true),
      name: decoder.decode(end < 0 ? raw : raw.subarray(0, end)),
    });
    at += 16 + size;
  }
  return records;
}

/** The change that a record tells, if any: one, as the kernel sets one bit per record. */
export function changeOf(mask: number): ChangeKind | undefined {
  if (mask & (Mask.CREATE | Mask.MOVED_TO)) return "create";
  if (mask & Mask.MODIFY) return "write";
  if (mask & (Mask.DELETE | Mask.DELETE_SELF)) return "remove";
  if (mask & (Mask.MOVED_FROM | Mask.MOVE_SELF)) return "rename";
  if (mask & Mask.ATTRIB) return "chmod";
  return undefined;
}
