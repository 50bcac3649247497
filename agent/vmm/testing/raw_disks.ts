/** Disks as plain copies of base images, for VMMs that read nothing else, on hosts without a device-mapper. */
import { logger, runCommand } from "@wrenn/common";
import { join } from "node:path";
import { Bases, diskSize } from "../../rootfs/bases.ts";
import { DiskFolders } from "../../rootfs/disk_folders.ts";
import type { Base, BlockDevice, FrozenDisk, RootfsStore } from "../../rootfs/store.ts";

/** What tests of a VMM ask of a store. Without layers to add, a disk stays what it is. */
export type VmDisks =
  & Pick<
    RootfsStore,
    "acquireBase" | "releaseBase" | "overlay" | "overlayOn" | "freeze" | "remove"
  >
  & Partial<Pick<RootfsStore, "addLayer">>;

const DISK = "disk.raw";
const MIB = 1 << 20;

/** One sparse file per disk, `sandboxes/{diskId}/disk.raw`. */
export class RawDisks implements VmDisks {
  readonly #bases: Bases;
  readonly #folders: DiskFolders;

  /** @param dataDir Folder with `images/`; `sandboxes/` is made in it. */
  constructor(dataDir: string) {
    this.#bases = new Bases(`${dataDir}/images`, logger("agent", "rootfs"));
    this.#folders = new DiskFolders(dataDir, 0);
  }

  /** {@inheritDoc RootfsStore.acquireBase} */
  async acquireBase(template: string): Promise<Base> {
    return await this.#bases.acquire(template);
  }

  /** {@inheritDoc RootfsStore.releaseBase} */
  releaseBase(base: Base): void {
    this.#bases.release(base);
  }

  /** A copy of the base. */
  async overlay(diskId: string, base: Base, sizeMb: number): Promise<BlockDevice> {
    return await this.#copy(diskId, base.path, diskSize(base, sizeMb));
  }

  /** A copy of a disk. */
  async overlayOn(diskId: string, { folder, sizeMb }: FrozenDisk): Promise<BlockDevice> {
    return await this.#copy(diskId, join(folder, DISK), sizeMb);
  }

  /** Links the disk into a folder. Nobody writes to it any more. */
  async freeze({ path, layers, sizeMb }: BlockDevice, folder: string): Promise<FrozenDisk> {
    await Deno.link(path, join(folder, DISK));
    return { folder, layers, sizeMb };
  }

  /** {@inheritDoc RootfsStore.remove} */
  async remove(diskId: string): Promise<void> {
    await this.#folders.remove(diskId);
  }

  async #copy(diskId: string, from: string, sizeMb: number): Promise<BlockDevice> {
    return await this.#folders.make(diskId, async (folder) => {
      const path = join(folder, DISK);
      await runCommand(["cp", "--reflink=auto", "--sparse=always", "--", from, path]);
      await Deno.truncate(path, sizeMb * MIB);
      await Deno.chmod(path, 0o600);
      return { path, format: "raw", sizeMb, folder, layers: [DISK] };
    });
  }
}
