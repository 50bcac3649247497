/**
 * Finished builds by content key. A build grows in a temporary folder, is flushed, and gets its name by one
 * rename: what has a name is whole. One builder at a time holds the cache's lock.
 */
import { join } from "node:path";
import { delay, exists } from "@wrenn/common";
import type { Progress } from "./types.ts";

const TEMPORARY = "tmp-";
const KEY_DIGITS = 24;
const LOCK_POLL_MS = 100;
const LOCK_SILENCE_MS = 1000;
const REMOVE_TRIES = 20;

/** What {@linkcode BuildCache.entry} makes. */
export interface EntrySpec {
  /** First part of the name, `kernel`. */
  readonly kind: string;
  /** Key of the inputs. */
  readonly key: string;
  /** Builds again although there is a finished one. */
  readonly fresh?: boolean | undefined;
  /** Fills the folder it is given. */
  readonly build: (folder: string) => Promise<void>;
}

/** The cache while its lock is held. Disposing of it gives the lock back. */
export class BuildCache implements Disposable {
  readonly #root: string;
  readonly #lock: Deno.FsFile;

  private constructor(root: string, lock: Deno.FsFile) {
    this.#root = root;
    this.#lock = lock;
  }

  /** Takes the cache's lock, waiting for another builder, and clears what a killed one has left. */
  static async open(
    root: string,
    progress: Progress,
    signal: AbortSignal | undefined,
  ): Promise<BuildCache> {
    await Deno.mkdir(root, { recursive: true, mode: 0o755 });
    const lock = await Deno.open(join(root, "lock"), { create: true, write: true, mode: 0o600 });
    try {
      for (let waited = 0; !(await lock.tryLock(true)); waited += LOCK_POLL_MS) {
        signal?.throwIfAborted();
        if (waited === LOCK_SILENCE_MS) progress("Waiting for another build to finish");
        await delay(LOCK_POLL_MS);
      }
      const cache = new BuildCache(root, lock);
      for (const name of await cache.#names(TEMPORARY)) await cache.#remove(name);
      return cache;
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** The folder of a build, made when it is not there. */
  async entry(spec: EntrySpec): Promise<string> {
    const name = entryName(spec.kind, spec.key);
    const folder = join(this.#root, name);
    if (!spec.fresh && await exists(folder)) {
      const now = new Date();
      await Deno.utime(folder, now, now); // `keep` goes by last use
      return folder;
    }
    await using work = await this.temporary();
    const made = join(work.path, "entry");
    await Deno.mkdir(made, { mode: 0o755 });
    await spec.build(made);
    await flushTree(made);
    if (await exists(folder)) await Deno.rename(folder, join(work.path, "old"));
    await Deno.rename(made, folder);
    await flush(this.#root);
    return folder;
  }

  /** An empty folder beside the builds that is removed when it is disposed of. */
  async temporary(): Promise<AsyncDisposable & { readonly path: string }> {
    const path = await Deno.makeTempDir({ dir: this.#root, prefix: TEMPORARY });
    return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
  }

  /** Deletes the builds of a kind but the `count` used last. */
  async keep(kind: string, count: number): Promise<void> {
    const pattern = new RegExp(`^${RegExp.escape(kind)}-[0-9a-f]{${KEY_DIGITS}}$`);
    const names = (await this.#names(`${kind}-`)).filter((name) => pattern.test(name));
    const used = await Promise.all(names.map(async (name) => {
      const { mtime } = await Deno.stat(join(this.#root, name));
      return { name, mtime: mtime?.getTime() ?? 0 };
    }));
    used.sort((a, b) => b.mtime - a.mtime);
    for (const { name } of used.slice(count)) await this.#remove(name);
  }

  /** Gives the lock back. */
  [Symbol.dispose](): void {
    this.#lock.close();
  }

  async #names(prefix: string): Promise<string[]> {
    const entries = await Array.fromAsync(Deno.readDir(this.#root));
    return entries.map((e) => e.name).filter((name) => name.startsWith(prefix));
  }

  /** A half-deleted build must not be found by its name. */
  async #remove(name: string): Promise<void> {
    const doomed = name.startsWith(TEMPORARY) ? name : `${TEMPORARY}${name}`;
    if (doomed !== name) await Deno.rename(join(this.#root, name), join(this.#root, doomed));
    // A program that a killed builder had started may still write into its folder for a moment.
    for (let tries = 1;; tries++) {
      try {
        return await Deno.remove(join(this.#root, doomed), { recursive: true });
      } catch (error) {
        if (tries === REMOVE_TRIES) throw error;
        await delay(LOCK_POLL_MS);
      }
    }
  }
}

/** Folder name of a build. */
export function entryName(kind: string, key: string): string {
  return `${kind}-${key.slice(0, KEY_DIGITS)}`;
}

/**
 * The first of several paths that exists.
 *
 * @throws {Error} When none does.
 */
export async function firstExisting(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    if (await exists(path)) return path;
  }
  throw new Error(`Cannot find any of '${paths.join("', '")}'`);
}

/** Forces a file or a folder to the disk. */
export async function flush(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true });
  await file.sync();
}

async function flushTree(folder: string): Promise<void> {
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) await flushTree(path);
    else if (entry.isFile) await flush(path);
  }
  await flush(folder);
}
