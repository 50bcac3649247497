/** Root disks as chains of qcow2 layers over raw ext4 images. */
import { type Logger, logger, runCommand } from "@wrenn/common";
import { basename, join } from "node:path";
import { spaceError } from "../snapshot/space.ts";
import { Bases, diskSize } from "./bases.ts";
import {
  baseName,
  isBase,
  linkAll,
  linkBase,
  newLayerName,
  openToGroup,
  sealLayers,
  splitAt,
} from "./disk_files.ts";
import { readDisk, writeLayer } from "./disk_folder.ts";
import { DiskFolders } from "./disk_folders.ts";
import { exportTo } from "./export_image.ts";
import type { Base, BlockDevice, FrozenDisk, LayerControl, RootfsStore, VmmRoot } from "./store.ts";

/** Options of {@linkcode Qcow2Store}. */
export interface Qcow2StoreOptions {
  /** Folder with `images/`; `sandboxes/` is made in it. */
  readonly dataDir: string;
  /** Space that stays free on the file system, MiB: below it no disk is created. 256 by default. */
  readonly reserveMb?: number;
  /** Where notices go; the category `agent, rootfs` by default. */
  readonly log?: Logger;
}

/**
 * Disks in `sandboxes/{diskId}`. Each folder is whole in itself: it links the base and every layer below its own, so
 * that a template that is built again, or a snapshot that is removed, leaves existing disks whole. Images, disks and
 * snapshots lie on one file system.
 */
export class Qcow2Store implements RootfsStore {
  /** {@inheritDoc RootfsStore.kind} */
  readonly kind = "qcow2";
  readonly #bases: Bases;
  readonly #folders: DiskFolders;

  /** @param options Where everything lies. */
  constructor({ dataDir, reserveMb = 256, log = logger("agent", "rootfs") }: Qcow2StoreOptions) {
    this.#bases = new Bases(`${dataDir}/images`, log);
    this.#folders = new DiskFolders(dataDir, reserveMb);
  }

  /** {@inheritDoc RootfsStore.acquireBase} */
  async acquireBase(template: string): Promise<Base> {
    return await this.#bases.acquire(template);
  }

  /** {@inheritDoc RootfsStore.releaseBase} */
  releaseBase(base: Base): void {
    this.#bases.release(base);
  }

  /** {@inheritDoc RootfsStore.references} */
  references(template: string): number {
    return this.#bases.references(template);
  }

  /** {@inheritDoc RootfsStore.overlay} */
  async overlay(diskId: string, base: Base, sizeMb: number): Promise<BlockDevice> {
    const size = diskSize(base, sizeMb);
    this.#bases.requireHeld(base);
    const link = await baseName(base.hash);
    return await this.#folders.make(diskId, async (folder) => {
      await linkBase(base.path, join(folder, link));
      return await withNewLayer(folder, [link], size);
    });
  }

  /** {@inheritDoc RootfsStore.overlayOn} */
  async overlayOn(
    diskId: string,
    frozen: FrozenDisk,
    root?: VmmRoot,
  ): Promise<BlockDevice> {
    return await this.#folders.make(diskId, async (folder) => {
      await linkAll(frozen.layers, frozen.folder, folder);
      if (!root) return await withNewLayer(folder, frozen.layers, frozen.sizeMb);
      await openToGroup(frozen.layers, folder, root.gid);
      return await withNewLayer(folder, frozen.layers, frozen.sizeMb, root.uid);
    }, root?.disk.folder);
  }

  /** {@inheritDoc RootfsStore.reserve} */
  async reserve(diskId: string, sizeMb: number): Promise<BlockDevice> {
    return await this.#folders.make(
      diskId,
      (folder) => Promise.resolve({ path: folder, format: "qcow2", sizeMb, folder, layers: [] }),
    );
  }

  /** {@inheritDoc RootfsStore.addLayer} */
  async addLayer(disk: BlockDevice, uid: number): Promise<BlockDevice> {
    try {
      await this.#folders.requireSpace();
      return await withNewLayer(disk.folder, disk.layers, disk.sizeMb, uid);
    } catch (error) {
      throw spaceError(error);
    }
  }

  /** {@inheritDoc RootfsStore.switchTo} */
  async switchTo(next: BlockDevice, control: LayerControl | undefined): Promise<void> {
    const vmm = required(control);
    try {
      await vmm.switchTo(next);
    } catch (error) {
      // A machine that has ended says nothing; its disk is read from the top, which is empty.
      const top = await vmm.topLayer().catch(() => undefined);
      if (top === basename(next.path)) return;
      if (top !== undefined) await Deno.remove(next.path);
      throw error;
    }
  }

  /** {@inheritDoc RootfsStore.asWritten} */
  async asWritten(disk: BlockDevice, control: LayerControl | undefined): Promise<BlockDevice> {
    const top = await required(control).topLayer();
    const at = disk.layers.indexOf(top);
    if (at < 0) throw new Error(`The disk has no layer '${top}'`);
    for (const unused of disk.layers.slice(at + 1)) await Deno.remove(join(disk.folder, unused));
    return { ...disk, path: join(disk.folder, top), layers: disk.layers.slice(0, at + 1) };
  }

  /** {@inheritDoc RootfsStore.flatten} */
  async flatten(
    disk: BlockDevice,
    layer: string,
    control: LayerControl | undefined,
  ): Promise<BlockDevice> {
    const kept = disk.layers.indexOf(layer) + 1;
    const top = disk.layers.at(-1);
    if (kept === 0 || top === undefined) throw new Error(`The disk has no layer '${layer}'`);
    await required(control).flatten(layer);
    for (const gone of disk.layers.slice(kept, -1)) await Deno.remove(join(disk.folder, gone));
    return { ...disk, layers: [...disk.layers.slice(0, kept), top] };
  }

  /** {@inheritDoc RootfsStore.freeze} */
  async freeze(
    { folder: from, layers, sizeMb }: BlockDevice,
    folder: string,
    { below = false }: { below?: boolean } = {},
  ): Promise<FrozenDisk> {
    const frozen = below ? layers.slice(0, -1) : [...layers];
    try {
      await linkAll(frozen, from, folder);
      await sealLayers(frozen, folder);
      return { folder, layers: frozen, sizeMb };
    } catch (error) {
      throw spaceError(error);
    }
  }

  /**
   * {@inheritDoc RootfsStore.mergeLayers}
   *
   * A copy of the newest layer, with everything between it and `layer` taken in by `qemu-img rebase`, which reads both
   * chains and copies what differs.
   */
  async mergeLayers(frozen: FrozenDisk, layer: string): Promise<FrozenDisk> {
    const { folder } = frozen;
    const [kept, above] = splitAt(frozen.layers, layer);
    const top = above.at(-1);
    if (top === undefined || above.length < 2) return frozen;
    const merged = newLayerName("qcow2");
    await runCommand(["cp", "--sparse=always", "--", join(folder, top), join(folder, merged)]);
    await Deno.chmod(join(folder, merged), 0o600);
    const rebase = 'cd "$1" && exec qemu-img rebase -f qcow2 -b "$2" -F "$3" "$4"';
    const format = isBase(layer) ? "raw" : "qcow2";
    await runCommand(["sh", "-euc", rebase, "sh", folder, layer, format, merged]);
    for (const gone of above) await Deno.remove(join(folder, gone));
    return { ...frozen, layers: [...kept, merged] };
  }

  /** {@inheritDoc RootfsStore.failHeld} QEMU waits, not the kernel. */
  async failHeld(_disk: BlockDevice): Promise<void> {}

  /** {@inheritDoc RootfsStore.rename} */
  async rename(disk: BlockDevice, diskId: string): Promise<BlockDevice> {
    const folder = await this.#folders.move(disk.folder, diskId);
    return { ...disk, folder, path: join(folder, basename(disk.path)) };
  }

  /** {@inheritDoc RootfsStore.find} */
  async find(diskId: string): Promise<BlockDevice> {
    return await readDisk(await this.#folders.present(diskId));
  }

  /** {@inheritDoc RootfsStore.remove} */
  async remove(diskId: string): Promise<void> {
    await this.#folders.remove(diskId);
  }

  /** {@inheritDoc RootfsStore.usedMb} */
  async usedMb(diskId: string): Promise<number> {
    return await this.#folders.usedMb(diskId);
  }

  /** {@inheritDoc RootfsStore.exportImage} */
  async exportImage(disk: BlockDevice, target: string): Promise<void> {
    const convert = ["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", "-S", "4k"] as const;
    await exportTo(target, async (path) => void await runCommand([...convert, disk.path, path]));
  }

  /** {@inheritDoc RootfsStore.templates} */
  async templates(): Promise<Base[]> {
    return await this.#bases.list();
  }

  /** {@inheritDoc RootfsStore.sweep} */
  async sweep(keep: ReadonlySet<string>): Promise<number> {
    const stale = (await this.#folders.ids()).filter((id) => !keep.has(id));
    for (const id of stale) await this.#folders.remove(id);
    return stale.length;
  }
}

/** The disk with an empty layer on top of what its folder has. */
async function withNewLayer(
  folder: string,
  layers: readonly string[],
  sizeMb: number,
  uid: number = 0,
): Promise<BlockDevice> {
  const below = layers.at(-1);
  if (below === undefined) throw new Error("A disk without a base");
  const name = newLayerName("qcow2");
  await writeLayer(folder, name, below, { sizeMb, uid });
  return { path: join(folder, name), format: "qcow2", sizeMb, folder, layers: [...layers, name] };
}

function required(control: LayerControl | undefined): LayerControl {
  if (control === undefined) throw new Error("This VMM does not read qcow2");
  return control;
}
