/** Disks whose host runs out of space: what state they are in, and what can be done for them. */
import { basename, join } from "node:path";
import { type Logger, type Turns, WrennError } from "@wrenn/common";
import type { DiskState } from "../../core/dm_status.ts";
import type { DiskFolders } from "../disk_folders.ts";
import { isCowValid } from "./cow_file.ts";
import { readRecord, recordIn } from "./disk_record.ts";
import type { Stacks } from "./stacks.ts";

/** What it works with: the store's own. */
export interface HealthParts {
  readonly folders: DiskFolders;
  readonly stacks: Stacks;
  readonly turns: Turns;
  readonly log: Logger;
}

/**
 * A layer that has less room than the disk can be written is `full` one day: reads go on, every write fails, and a
 * layer over it has room again. A host that cannot write is worse: the kernel gives the disk up, which is `lost` then.
 * Nothing that a guest was told is written is gone, though, and {@linkcode mend} brings it back. So that it does not
 * come to that, I/O can wait while there is no space: {@linkcode hold}.
 */
export class DmHealth {
  readonly #parts: HealthParts;

  /** @param parts The store's own. */
  constructor(parts: HealthParts) {
    this.#parts = parts;
  }

  /** How a disk is. @throws {WrennError} `sandbox_not_found` */
  async state(diskId: string): Promise<DiskState> {
    return await this.stateIn(await this.#parts.folders.present(diskId));
  }

  /** How the disk of a folder is. */
  async stateIn(folder: string): Promise<DiskState> {
    const record = await recordIn(folder);
    const status = await this.#parts.stacks.status(record);
    if (status) return status.state;
    return await isCowValid(join(folder, record.layers.at(-1) ?? "")) ? "ok" : "lost";
  }

  /** @throws {WrennError} `no_space` for a disk that is lost. */
  async requireReadable(folder: string): Promise<DiskState> {
    const state = await this.stateIn(folder);
    if (state !== "lost") return state;
    throw new WrennError("no_space", `Disk of '${basename(folder)}' was lost on a full host`);
  }

  /** @throws {WrennError} `no_space` for a disk that is full or lost. */
  async requireWritable(folder: string): Promise<void> {
    if (await this.requireReadable(folder) === "ok") return;
    throw new WrennError("no_space", `Disk of '${basename(folder)}' is full`);
  }

  /**
   * Makes a lost disk usable again, also while a VMM has it open. Answers whether it was lost.
   *
   * @throws {WrennError} `sandbox_not_found`, `no_space` while the host has none.
   */
  async mend(diskId: string): Promise<boolean> {
    const { folders, stacks, turns, log } = this.#parts;
    const folder = await folders.present(diskId);
    if (await this.stateIn(folder) !== "lost") return false;
    await folders.requireSpace();
    const record = await recordIn(folder);
    await turns.take(async () => {
      if (await stacks.topLayer(record) === undefined) await stacks.bringUp(folder, record);
      else await stacks.mend(folder, record);
    });
    log.warn("Mended a disk that the host could not write", { diskId });
    return true;
  }

  /** Mends every disk that is lost and answers their ids. */
  async mendAll(): Promise<string[]> {
    const mended: string[] = [];
    for (const id of await this.#parts.folders.ids()) {
      try {
        if (await this.mend(id)) mended.push(id);
      } catch (error) {
        this.#parts.log.error("Cannot mend a disk", { id, error });
      }
    }
    return mended;
  }

  /** Lets the I/O of all disks wait, or go on. */
  async hold(held: boolean): Promise<void> {
    await this.#parts.turns.take(() => this.#parts.stacks.hold(held));
  }

  /**
   * Fails what a VMM still reads and writes. For one that is to be killed: the kernel does not end a process whose I/O
   * waits.
   */
  async abandon(diskId: string): Promise<void> {
    const { folders, stacks, turns } = this.#parts;
    const record = await readRecord(folders.path(diskId));
    if (record) await turns.take(() => stacks.fail(record));
  }

  /** As {@linkcode abandon}, for the disk of a folder, where its I/O waits. */
  async failHeld(folder: string): Promise<void> {
    const { stacks, turns } = this.#parts;
    const record = await readRecord(folder);
    if (!record) return;
    // In its turn: a device is suspended for a moment when its layers change.
    await turns.take(async () => {
      if (await stacks.isHeld(record)) await stacks.fail(record);
    });
  }

  /** Free space of the disks' file system, MiB. */
  async freeMb(): Promise<number> {
    return await this.#parts.folders.freeMb();
  }
}
