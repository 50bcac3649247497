/** Loop devices over files of disks. */
import { basename } from "node:path";
import { type RunCommand, runCommand } from "@wrenn/common";

/** Major number of loop devices. */
const LOOP_MAJOR = "7:";
const BLOCK_DEVICES = "/sys/block";
const DELETED = " (deleted)";

/** How a loop device is made. */
export interface LoopMode {
  readonly readOnly?: boolean;
  /** What is written counts as on disk when the host's page cache has it: flushes are dropped. */
  readonly unsynced?: boolean;
}

/** A loop device in use. */
export interface Loop {
  /** Path of its node. */
  readonly path: string;
  /** Path of the file under it, as it is now: renamed with its folder, and the last one after it was removed. */
  readonly file: string;
}

/** Makes and finds loop devices. What the host has is read from it each time. */
export class Loops {
  readonly #run: RunCommand;

  /** @param run Runs `losetup`. */
  constructor(run: RunCommand = runCommand) {
    this.#run = run;
  }

  /**
   * Lends a loop device over a file to `use`. It ends with the device that has opened it by then: the kernel frees a
   * loop that is detached in use when its last user closes it. So none is left over when the agent dies later, and
   * nobody counts users.
   */
  async lend<T>(
    file: string,
    { readOnly = false, unsynced = false }: LoopMode,
    use: (loop: string) => Promise<T>,
  ): Promise<T> {
    const flags = readOnly ? ["--read-only"] : [];
    const { stdout } = await this.#run(["losetup", "--find", "--show", ...flags, file]);
    const loop = stdout.trim();
    try {
      if (unsynced) {
        await Deno.writeTextFile(
          `${BLOCK_DEVICES}/${basename(loop)}/queue/write_cache`,
          "write through",
        );
      }
      return await use(loop);
    } finally {
      await this.detach(loop);
    }
  }

  /** Frees a loop device, at once or when its last user closes it. */
  async detach(path: string): Promise<void> {
    await this.#run(["losetup", "--detach", path]);
  }

  /** All loop devices over files under a folder. */
  async under(folder: string): Promise<Loop[]> {
    const found: Loop[] = [];
    for await (const { name } of Deno.readDir(BLOCK_DEVICES)) {
      if (!name.startsWith("loop")) continue;
      const file = await backingFile(`${BLOCK_DEVICES}/${name}`);
      if (file?.startsWith(`${folder}/`)) found.push({ path: `/dev/${name}`, file });
    }
    return found;
  }
}

/** Name of the file under the loop device among these device numbers. Undefined when there is none. */
export async function loopFile(devnos: readonly string[]): Promise<string | undefined> {
  const devno = devnos.find((each) => each.startsWith(LOOP_MAJOR));
  if (devno === undefined) return undefined;
  const file = await backingFile(`/sys/dev/block/${devno}`);
  return file === undefined ? undefined : basename(file);
}

async function backingFile(device: string): Promise<string | undefined> {
  try {
    const path = (await Deno.readTextFile(`${device}/loop/backing_file`)).replace(/\n$/, "");
    return path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
  } catch (error) {
    // A loop device that is not in use has no such file.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
