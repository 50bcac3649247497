/** `filesystem.Filesystem` over Connect. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { WrennError } from "@wrenn/common/errors";
import type { Filesystem, FilesystemEventSchema } from "@wrenn/proto/filesystem";
import { joinPath, resolvePath } from "../core/paths.ts";
import type { User } from "../core/user_db.ts";
import { movePath, removePath } from "../files/change.ts";
import { makeDirectories, statIfPresent } from "../files/create.ts";
import { readEntry } from "../files/entry.ts";
import { listDirectory } from "../files/list.ts";
import type { GuestState } from "../init/state.ts";
import type { Users } from "../linux/users.ts";
import { IDLE } from "../process/broadcast.ts";
import type { Change } from "../watch/change_queue.ts";
import { lostChanges, type Watchers, type WatchSpec } from "../watch/watchers.ts";
import { entryMessage, eventMessage } from "./filesystem_messages.ts";
import { keepaliveMs, requestUser } from "./request_context.ts";

/** What the service needs. */
export interface FilesystemServiceOptions {
  /** Default user and directory. */
  state: GuestState;
  /** Users of the machine. */
  users: Users;
  /** Watches. */
  watchers: Watchers;
}

type EventInit = MessageInitShape<typeof FilesystemEventSchema>;

/** The service over the machine's files. */
export function filesystemService(
  { state, users, watchers }: FilesystemServiceOptions,
): ServiceImpl<typeof Filesystem> {
  const locate = async (
    path: string,
    context: HandlerContext,
  ): Promise<{ path: string; user: User }> => {
    const user = await state.user(requestUser(context.requestHeader));
    return { path: resolvePath(path, user.home, state.defaultWorkdir), user };
  };
  const entryOf = async (path: string) => entryMessage(await readEntry(path, await users.table()));
  const watchSpec = async (
    request: Omit<WatchSpec, "path"> & { path: string },
    context: HandlerContext,
  ): Promise<WatchSpec> => ({
    path: (await locate(request.path, context)).path,
    recursive: request.recursive,
    includeEntry: request.includeEntry,
    allowNetworkMounts: request.allowNetworkMounts,
  });
  const eventOf = async (spec: WatchSpec, { name, kind }: Change): Promise<EventInit> => {
    if (!spec.includeEntry || kind === "remove" || kind === "rename") {
      return eventMessage(name, kind, undefined);
    }
    const path = name === "." ? spec.path : joinPath(spec.path, name);
    // What changed may be gone again: the event goes out without it.
    const entry = await readEntry(path, await users.table()).catch(() => undefined);
    return eventMessage(name, kind, entry);
  };

  return {
    async stat(request, context) {
      return { entry: await entryOf((await locate(request.path, context)).path) };
    },

    async makeDir(request, context) {
      const { path, user } = await locate(request.path, context);
      const existing = await statIfPresent(path);
      if (existing?.isDirectory) {
        throw new WrennError("already_exists", `directory already exists: ${path}`);
      }
      if (existing) throw new WrennError("not_directory", `path '${path}' is not a directory`);
      if (!await makeDirectories(path, user)) {
        throw new WrennError("already_exists", `directory already exists: ${path}`);
      }
      return { entry: await entryOf(path) };
    },

    async move(request, context) {
      if (request.source === "" || request.destination === "") {
        throw new WrennError("invalid_path", "Source or destination is missing");
      }
      const source = await locate(request.source, context);
      const destination = await locate(request.destination, context);
      await movePath(source.path, destination.path, source.user);
      return { entry: await entryOf(destination.path) };
    },

    async listDir(request, context) {
      const { path } = await locate(request.path, context);
      const entries = await listDirectory(path, request.depth, await users.table());
      return { entries: entries.map(entryMessage) };
    },

    async remove(request, context) {
      if (request.path === "") throw new WrennError("invalid_path", "Path is missing");
      await removePath((await locate(request.path, context)).path);
      return {};
    },

    async *watchDir(request, context) {
      const { signal } = context;
      using watch = await watchers.open(await watchSpec(request, context));
      const leave = (): void => watch.queue.close();
      signal.addEventListener("abort", leave, { once: true });
      if (signal.aborted) leave();
      const idle = keepaliveMs(context.requestHeader);
      yield { event: { case: "start", value: {} } };
      while (true) {
        const change = await watch.queue.next(idle);
        if (change === undefined) return signal.throwIfAborted();
        if (change === IDLE) {
          if (watch.queue.takeLost()) throw lostChanges();
          yield { event: { case: "keepalive", value: {} } };
        } else {
          yield { event: { case: "filesystem", value: await eventOf(watch.spec, change) } };
        }
      }
    },

    async createWatcher(request, context) {
      return { watcherId: await watchers.create(await watchSpec(request, context)) };
    },

    async getWatcherEvents(request) {
      const { spec, changes } = watchers.poll(request.watcherId);
      const events: EventInit[] = [];
      for (const change of changes) events.push(await eventOf(spec, change));
      return { events };
    },

    removeWatcher(request) {
      watchers.remove(request.watcherId);
      return {};
    },
  };
}
