/** Folders of disks, one per disk id. */
import { exists, isSandboxId, WrennError } from "@wrenn/common";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { noSpace, spaceError } from "../snapshot/space.ts";
import { namesIn } from "./bases.ts";
import { isDiskFile } from "./disk_files.ts";
import type { BlockDevice } from "./store.ts";

const MIB = 1024 * 1024;
/** A machine that is nobody's: in a pool, becoming a golden snapshot, or a process that waits for one. */
const NOBODYS = /^(?:warm|gold|spare)-[0-9a-f]{16}$/;
/** The VMM passes through as the VM's uid, and lists nothing. */
const FOLDER_MODE = 0o711;

/** The folder `sandboxes/` of a data folder. */
export class DiskFolders {
  /** Where the folders are. */
  readonly root: string;
  readonly #reserveMb: number;

  /** @param reserveMb Space that stays free on the file system. */
  constructor(dataDir: string, reserveMb: number) {
    this.root = `${dataDir}/sandboxes`;
    this.#reserveMb = reserveMb;
  }

  /** A disk's folder, there or not. Only a well-formed id becomes part of a path. @throws {WrennError} `invalid_request` */
  path(diskId: string): string {
    if (isDiskId(diskId)) return join(this.root, diskId);
    throw new WrennError("invalid_request", `Wrong sandbox id '${diskId.slice(0, 64)}'`);
  }

  /** A disk's folder that is there. @throws {WrennError} `sandbox_not_found` */
  async present(diskId: string): Promise<string> {
    const folder = this.path(diskId);
    if (await exists(folder)) return folder;
    throw new WrennError("sandbox_not_found", `Sandbox '${diskId}' has no disk`);
  }

  /**
   * Makes a disk's folder, or gives its id to one that is there, and what `fill` puts into it; nothing stays when that
   * fails.
   *
   * @throws {WrennError} `no_space`, `already_exists`
   */
  async make(
    diskId: string,
    fill: (folder: string) => Promise<BlockDevice>,
    from?: string,
  ): Promise<BlockDevice> {
    const folder = this.path(diskId);
    await this.requireSpace();
    if (from === undefined) await makeFolder(folder, diskId);
    else await this.move(from, diskId);
    try {
      return await fill(folder);
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw spaceError(error);
    }
  }

  /** Gives a folder another id and answers where it is then. @throws {WrennError} `already_exists` */
  async move(from: string, diskId: string): Promise<string> {
    const folder = this.path(diskId);
    if (await exists(folder)) {
      throw new WrennError("already_exists", `Sandbox '${diskId}' has a disk already`);
    }
    await Deno.rename(from, folder);
    return folder;
  }

  /** Removes a disk's folder; a missing one is fine. */
  async remove(diskId: string): Promise<void> {
    await Deno.remove(this.path(diskId), { recursive: true }).catch((error: unknown) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  /** Ids of the disks that are there, in order. */
  async ids(): Promise<string[]> {
    return (await namesIn(this.root)).filter(isDiskId);
  }

  /** MiB that a disk's own files take: those that no other folder links. @throws {WrennError} `sandbox_not_found` */
  async usedMb(diskId: string): Promise<number> {
    const folder = await this.present(diskId);
    try {
      let blocks = 0;
      for await (const { name } of Deno.readDir(folder)) {
        if (!isDiskFile(name)) continue;
        const info = await Deno.stat(join(folder, name));
        if (info.nlink === 1) blocks += info.blocks ?? 0;
      }
      return Math.ceil(blocks * 512 / MIB);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      throw new WrennError("sandbox_not_found", `Sandbox '${diskId}' has no disk`, { cause });
    }
  }

  /** Free space on the file system, MiB; also before there is a disk. */
  async freeMb(): Promise<number> {
    await Deno.mkdir(this.root, { recursive: true, mode: FOLDER_MODE });
    const { bavail, bsize } = await statfs(this.root);
    return bavail * bsize / MIB;
  }

  /** @throws {WrennError} `no_space` when the reserve is in use. */
  async requireSpace(): Promise<void> {
    if (await this.freeMb() < this.#reserveMb) throw noSpace();
  }
}

/** True for a sandbox's id, and for that of a machine that is nobody's. */
export function isDiskId(id: string): boolean {
  return isSandboxId(id) || NOBODYS.test(id);
}

async function makeFolder(folder: string, diskId: string): Promise<void> {
  try {
    await Deno.mkdir(folder);
    // Past the umask.
    await Deno.chmod(folder, FOLDER_MODE);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw spaceError(cause);
    throw new WrennError("already_exists", `Sandbox '${diskId}' has a disk already`, { cause });
  }
}
