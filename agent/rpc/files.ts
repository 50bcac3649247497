/** File calls. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService, WriteFileRequest } from "@wrenn/proto/agent";
import { WrennError } from "@wrenn/common";
import type { SandboxManager } from "../sandbox/manager.ts";
import { toFileEntry, toWatchEventType } from "./convert.ts";
import { byteCount, fileRef, pathText } from "./validate.ts";

/** The calls that this file serves. */
export type FileCalls = Pick<
  ServiceImpl<typeof AgentService>,
  | "readFile"
  | "writeFile"
  | "listDir"
  | "stat"
  | "makeDir"
  | "move"
  | "remove"
  | "watchDir"
>;

/** Deepest listing. */
const MAX_DEPTH = 1000;

/** File calls over a manager. */
export function fileCalls(manager: SandboxManager): FileCalls {
  return {
    readFile: async function* ({ file, offset, length }, { signal }) {
      const ref = fileRef(file);
      const range = { offset: byteCount(offset, "offset"), length: byteCount(length, "length") };
      byteCount(offset + length, "length");
      using lease = manager.use(ref.id);
      const { size, data } = await lease.guest.files.read(ref, range, signal);
      yield { size: BigInt(size) };
      for await (const piece of data) yield { data: piece };
    },
    writeFile: async (requests, { signal }) => {
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      const start = first.done ? undefined : first.value.event;
      if (start?.case !== "start") {
        throw new WrennError("invalid_request", "First message must be 'start'");
      }
      const ref = fileRef(start.value);
      using lease = manager.use(ref.id);
      const written = await lease.guest.files.write(ref, dataOf(iterator), signal);
      return { path: written.path, size: BigInt(written.size) };
    },
    listDir: async ({ file, depth }, { signal }) => {
      const ref = fileRef(file);
      using lease = manager.use(ref.id);
      const entries = await lease.guest.tree.list(
        ref,
        Math.min(Math.max(depth, 1), MAX_DEPTH),
        signal,
      );
      return { entries: entries.map(toFileEntry) };
    },
    stat: async ({ file }, { signal }) => {
      const ref = fileRef(file);
      using lease = manager.use(ref.id);
      return { entry: toFileEntry(await lease.guest.tree.stat(ref, signal)) };
    },
    makeDir: async ({ file }, { signal }) => {
      const ref = fileRef(file);
      using lease = manager.use(ref.id);
      return { entry: toFileEntry(await lease.guest.tree.mkdir(ref, signal)) };
    },
    move: async ({ file, destination }, { signal }) => {
      const ref = fileRef(file);
      const to = pathText(destination, "destination");
      using lease = manager.use(ref.id);
      return { entry: toFileEntry(await lease.guest.tree.move(ref, to, signal)) };
    },
    remove: async ({ file }, { signal }) => {
      const ref = fileRef(file);
      using lease = manager.use(ref.id);
      await lease.guest.tree.remove(ref, signal);
      return {};
    },
    watchDir: async function* ({ file, recursive }, { signal }) {
      const ref = fileRef(file);
      using lease = manager.use(ref.id);
      const events = await lease.guest.tree.watch(ref, recursive, signal);
      yield {};
      for await (const { type, name } of events) yield { type: toWatchEventType(type), name };
    },
  };
}

/** The pieces after the first message. */
async function* dataOf(
  requests: AsyncIterator<WriteFileRequest>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  for (let m = await requests.next(); !m.done; m = await requests.next()) {
    const { event } = m.value;
    if (event.case === "start") {
      throw new WrennError("invalid_request", "File has been started already");
    }
    if (event.case === "data" && event.value.length > 0) {
      yield event.value as Uint8Array<ArrayBuffer>;
    }
  }
}
