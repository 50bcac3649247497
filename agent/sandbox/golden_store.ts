/** The folder of golden snapshots, which several agents of one machine may share. */
import { join } from "node:path";
import { ConfigError, logger } from "@wrenn/common";
import { type Snapshot, SnapshotStore, type VerifiedFiles } from "../snapshot/mod.ts";

/** A golden snapshot that no agent has used for so long is of an image, a size or a host that is gone. */
export const UNUSED_MS: number = 7 * 24 * 3600 * 1000;

const log = logger("agent", "golden");

/** An open store. Disposing of it tells that this agent does not use the folder any more. */
export interface GoldenStore extends Disposable {
  readonly store: SnapshotStore;
}

/** Where it is, and what it works with. */
export interface GoldenStoreOptions {
  readonly dir: string;
  readonly dataDir: string;
  readonly reserveMb: number;
  readonly verified?: VerifiedFiles;
}

/**
 * Opens the folder. The first agent that uses it clears what dead ones left half-made, each one what is unused.
 *
 * @throws {ConfigError} When it is on another file system than the data: disks link to it.
 */
export async function openGoldenStore(
  { dir, dataDir, ...options }: GoldenStoreOptions,
): Promise<GoldenStore> {
  await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
  const [golden, data] = await Promise.all([Deno.stat(dir), Deno.stat(dataDir)]);
  if (golden.dev !== data.dev) {
    throw new ConfigError(
      `Wrong configuration: WRENN_GOLDEN_DIR: '${dir}' is on another file system than '${dataDir}'`,
    );
  }
  const users = await Deno.open(join(dir, "users.lock"), { create: true, write: true });
  const store = new SnapshotStore({ root: dir, ...options });
  if (await users.tryLock(true)) await store.sweep();
  await removeUnused(store, Date.now());
  await users.unlock();
  await users.lock(false);
  return { store, [Symbol.dispose]: () => users.close() };
}

/** Notes that a snapshot is in use: its folder bears the time. */
export async function markUsed({ dir }: Snapshot, nowMs: number): Promise<void> {
  await Deno.utime(dir, new Date(nowMs), new Date(nowMs));
}

/** Removes what nobody has used for {@linkcode UNUSED_MS}. Answers how many. What cannot be removed stays, and is told. */
export async function removeUnused(store: SnapshotStore, nowMs: number): Promise<number> {
  let removed = 0;
  for (const { id, dir } of await store.list()) {
    try {
      const { mtime } = await Deno.stat(dir);
      if (mtime === null || nowMs - mtime.getTime() < UNUSED_MS) continue;
      await store.remove(id);
      removed++;
    } catch (error) {
      // Another agent may have been faster.
      log.warn("Cannot remove a golden snapshot", { id, error });
    }
  }
  return removed;
}
