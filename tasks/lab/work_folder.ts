/** The folder of a running lab. That of one that was killed is removed when the next one starts. */
import { join } from "node:path";
import { defaultCacheDir } from "../images/mod.ts";

const PREFIX = "wrenn-lab-";
const LOCK = "lock";

/** A folder of this process; the kernel gives its lock back however the process ends. */
export class WorkFolder implements AsyncDisposable {
  readonly #lock: Deno.FsFile;
  readonly path: string;

  private constructor(path: string, lock: Deno.FsFile) {
    this.path = path;
    this.#lock = lock;
  }

  /** Removes folders of dead labs in `root` and makes a new one. */
  static async open(root: string = "/var/tmp"): Promise<WorkFolder> {
    await Deno.mkdir(defaultCacheDir(), { recursive: true });
    // A new folder is not locked yet for a moment: nobody sweeps then.
    using turn = await openLock(join(defaultCacheDir(), "lab-work.lock"));
    await turn.lock(true);
    await sweep(root);
    const path = await Deno.makeTempDir({ prefix: PREFIX, dir: root });
    const lock = await openLock(join(path, LOCK));
    await lock.lock(true);
    return new WorkFolder(path, lock);
  }

  /** Removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
    this.#lock.close();
  }
}

async function sweep(root: string): Promise<void> {
  const names = await Array.fromAsync(Deno.readDir(root), ({ name }) => name);
  for (const path of names.filter((n) => n.startsWith(PREFIX)).map((n) => join(root, n))) {
    // A lab that ends removes its folder meanwhile.
    const lock = await openLock(join(path, LOCK)).catch(unlessGone);
    if (lock === undefined) continue;
    using held = lock;
    if (await held.tryLock(true)) await Deno.remove(path, { recursive: true }).catch(unlessGone);
  }
}

async function openLock(path: string): Promise<Deno.FsFile> {
  return await Deno.open(path, { create: true, write: true });
}

function unlessGone(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
