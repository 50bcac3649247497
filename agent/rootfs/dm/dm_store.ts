/** Root disks as stacks of device-mapper snapshots over raw ext4 images. */
import {
  delay,
  type Logger,
  logger,
  randomHex,
  type RunCommand,
  runCommand,
  Turns,
  WrennError,
} from "@wrenn/common";
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { storeBytesWithin, wholeStoreBytes } from "../../core/dm_cow.ts";
import { DmNames } from "../../core/dm_names.ts";
import { spaceError } from "../../snapshot/space.ts";
import { Bases, diskSize } from "../bases.ts";
import { DiskFolders } from "../disk_folders.ts";
import { baseName, linkAll, linkBase, newLayerName, sealLayers, splitAt } from "../disk_files.ts";
import { exportTo } from "../export_image.ts";
import type { Base, BlockDevice, FrozenDisk, LayerControl, RootfsStore } from "../store.ts";
import { writeCow } from "./cow_file.ts";
import { DeviceMapper } from "./device_mapper.ts";
import {
  type DiskRecord,
  readRecord,
  recordIn,
  removeOtherLayers,
  removeUnnamed,
  writeRecord,
} from "./disk_record.ts";
import { DmHealth } from "./health.ts";
import { Loops } from "./loops.ts";
import { mergeLayers } from "./merge_layers.ts";
import { Stacks } from "./stacks.ts";

const BUSY_POLL_MS = 50;

/** Options of {@linkcode DmStore}. */
export interface DmStoreOptions {
  /** Folder with `images/`; `sandboxes/` is made in it. */
  readonly dataDir: string;
  /** Keeps the devices of several agents on a host apart: 8 hex digits. From the path of the data folder by default. */
  readonly instance?: string;
  /** Most that one layer may take on the host, MiB, at least 2. Without it a disk can be written from end to end. */
  readonly cowMb?: number;
  /** Space that stays free on the file system, MiB: below it no disk is created. 256 by default. */
  readonly reserveMb?: number;
  /**
   * Whether a guest's sync reaches the host's own disk, and with it every chunk that the kernel gives out: true by
   * default. Without it writes are faster by multiples, and a host that loses its power loses what was written since
   * the last snapshot, also by sandboxes that are paused.
   */
  readonly syncWrites?: boolean;
  /** How long a disk may still be open when it is removed, ms. 3000 by default. */
  readonly closeMs?: number;
  /** Where notices go; the category `agent, rootfs` by default. */
  readonly log?: Logger;
  /** Runs `dmsetup`, `losetup` and `cp`. */
  readonly run?: RunCommand;
}

/**
 * Disks in `sandboxes/{diskId}`, each with a device that keeps its path as long as the disk lives: when it gets another
 * id, and when a layer is added while a VMM has it open. Folders are whole in themselves, as those of
 * {@linkcode Qcow2Store}: a folder and its `disk.json` are all that is needed to bring the devices up again.
 *
 * In every change `disk.json` comes first and names what is to be; a layer that it names and that was never put into
 * force is empty, or holds what the layers hold that it replaces, so that the disk's content is the same either way.
 */
export class DmStore implements RootfsStore {
  /** {@inheritDoc RootfsStore.kind} */
  readonly kind = "dm";
  /** What can be done where disks or the host are full. */
  readonly health: DmHealth;
  /** In the names of all its devices, `wrenn-{instance}-...`. */
  readonly instance: string;
  readonly #bases: Bases;
  readonly #folders: DiskFolders;
  readonly #stacks: Stacks;
  /** Shared devices come and go with any disk. */
  readonly #turns = new Turns();
  readonly #cowBytes: number;
  readonly #closeMs: number;
  readonly #run: RunCommand;
  readonly #log: Logger;

  /** @param options Where everything lies. @throws {RangeError} When `cowMb` is below 2. */
  constructor(options: DmStoreOptions) {
    const { dataDir, reserveMb = 256, closeMs = 3000, run = runCommand } = options;
    const { log = logger("agent", "rootfs") } = options;
    this.instance = options.instance ?? instanceOf(dataDir);
    this.#bases = new Bases(`${dataDir}/images`, log);
    this.#folders = new DiskFolders(dataDir, reserveMb);
    this.#stacks = new Stacks({
      dm: new DeviceMapper(run),
      loops: new Loops(run),
      names: new DmNames(this.instance),
      writable: { unsynced: options.syncWrites === false },
    });
    this.#cowBytes = options.cowMb === undefined ? Infinity : storeBytesWithin(options.cowMb);
    this.#closeMs = closeMs;
    this.#run = run;
    this.#log = log;
    this.health = new DmHealth({
      ...{ folders: this.#folders, stacks: this.#stacks, turns: this.#turns, log },
    });
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
      return await this.#begin(folder, [link], size);
    });
  }

  /** {@inheritDoc RootfsStore.overlayOn} */
  async overlayOn(diskId: string, frozen: FrozenDisk): Promise<BlockDevice> {
    return await this.#folders.make(diskId, async (folder) => {
      await linkAll(frozen.layers, frozen.folder, folder);
      return await this.#begin(folder, frozen.layers, frozen.sizeMb);
    });
  }

  /** {@inheritDoc RootfsStore.addLayer} */
  async addLayer(disk: BlockDevice, _uid: number): Promise<BlockDevice> {
    await this.health.requireWritable(disk.folder);
    try {
      await this.#folders.requireSpace();
      const name = await this.#newLayer(disk.folder, disk.sizeMb);
      return { ...disk, layers: [...disk.layers, name] };
    } catch (error) {
      throw spaceError(error);
    }
  }

  /** {@inheritDoc RootfsStore.switchTo} The VMM goes on with the same device and has no part in it. */
  async switchTo(next: BlockDevice, _control: LayerControl | undefined): Promise<void> {
    const record = await recordIn(next.folder);
    const added = next.layers.at(-1) ?? "";
    try {
      await this.#sync(record);
      const changed = { ...record, layers: next.layers };
      await this.#turns.take(() => this.#change(next.folder, record, changed));
    } catch (error) {
      await removeUnnamed(next.folder, added);
      throw error;
    }
  }

  /** {@inheritDoc RootfsStore.asWritten} The table in force tells. */
  async asWritten(disk: BlockDevice, _control: LayerControl | undefined): Promise<BlockDevice> {
    const record = await recordIn(disk.folder);
    return await this.#turns.take(async () => {
      await this.#bringUp(disk.folder, record);
      const top = await this.#stacks.topLayer(record);
      const at = record.layers.indexOf(top ?? "");
      if (at < 0) throw new Error(`The disk has no layer '${top}'`);
      const written = { ...record, layers: record.layers.slice(0, at + 1) };
      if (written.layers.length < record.layers.length) await writeRecord(disk.folder, written);
      await removeOtherLayers(disk.folder, written.layers);
      return this.#deviceOf(disk.folder, written);
    });
  }

  /**
   * {@inheritDoc RootfsStore.flatten}
   *
   * The layers in between become one new layer below the top, copied from their files while the guest runs; the device
   * is suspended only to put it into force. The kernel's own snapshot-merge writes into the layer below, and those
   * layers belong to snapshots and to other disks over them, too.
   */
  async flatten(
    disk: BlockDevice,
    layer: string,
    _control: LayerControl | undefined,
  ): Promise<BlockDevice> {
    const [kept, above] = splitAt(disk.layers, layer);
    const between = above.slice(0, -1);
    if (between.length < 2) return disk;
    await this.health.requireWritable(disk.folder);
    const merged = newLayerName("cow");
    const record = await recordIn(disk.folder);
    const next = { ...record, layers: [...kept, merged, ...above.slice(-1)] };
    try {
      await this.#folders.requireSpace();
      await mergeLayers(disk.folder, between, merged);
      await this.#turns.take(() => this.#change(disk.folder, record, next));
    } catch (error) {
      await removeUnnamed(disk.folder, merged);
      throw spaceError(error);
    }
    for (const gone of between) await Deno.remove(join(disk.folder, gone));
    await this.#turns.take(() => this.#stacks.prune()).catch((error: unknown) =>
      this.#log.error("Cannot remove unused devices", { error })
    );
    return this.#deviceOf(disk.folder, next);
  }

  /** {@inheritDoc RootfsStore.freeze} */
  async freeze(
    disk: BlockDevice,
    folder: string,
    { below = false }: { below?: boolean } = {},
  ): Promise<FrozenDisk> {
    const { folder: from, layers, sizeMb } = disk;
    const frozen = below ? layers.slice(0, -1) : [...layers];
    try {
      if (!below) {
        await this.health.requireReadable(disk.folder);
        const record = await recordIn(from);
        await this.#sync(record);
        await this.#turns.take(() => this.#stacks.settle(record));
      }
      await linkAll(frozen, from, folder);
      await sealLayers(frozen, folder);
      return { folder, layers: frozen, sizeMb };
    } catch (error) {
      throw spaceError(error);
    }
  }

  /** {@inheritDoc RootfsStore.mergeLayers} */
  async mergeLayers(frozen: FrozenDisk, layer: string): Promise<FrozenDisk> {
    const { folder } = frozen;
    const [kept, above] = splitAt(frozen.layers, layer);
    if (above.length < 2) return frozen;
    const merged = newLayerName("cow");
    await mergeLayers(folder, above, merged);
    for (const gone of above) await Deno.remove(join(folder, gone));
    return { ...frozen, layers: [...kept, merged] };
  }

  /** {@inheritDoc RootfsStore.failHeld} */
  async failHeld({ folder }: BlockDevice): Promise<void> {
    await this.health.failHeld(folder);
  }

  /** {@inheritDoc RootfsStore.rename} */
  async rename(disk: BlockDevice, diskId: string): Promise<BlockDevice> {
    return { ...disk, folder: await this.#folders.move(disk.folder, diskId) };
  }

  /** {@inheritDoc RootfsStore.find} Its devices are up then. */
  async find(diskId: string): Promise<BlockDevice> {
    const folder = await this.#folders.present(diskId);
    const record = await recordIn(folder);
    await this.#turns.take(() => this.#bringUp(folder, record));
    return this.#deviceOf(folder, record);
  }

  /** {@inheritDoc RootfsStore.remove} @throws {WrennError} `conflict` while a VMM has it open. */
  async remove(diskId: string): Promise<void> {
    const record = await readRecord(this.#folders.path(diskId));
    if (record) {
      // Its VMM may be about to close it. Others have their turns meanwhile.
      for (let waited = 0; !(await this.#takeDown(record)); waited += BUSY_POLL_MS) {
        if (waited >= this.#closeMs) {
          throw new WrennError("conflict", `Disk of sandbox '${diskId}' is in use`);
        }
        await delay(BUSY_POLL_MS);
      }
    }
    await this.#folders.remove(diskId);
  }

  /** {@inheritDoc RootfsStore.usedMb} */
  async usedMb(diskId: string): Promise<number> {
    return await this.#folders.usedMb(diskId);
  }

  /** {@inheritDoc RootfsStore.exportImage} */
  async exportImage(disk: BlockDevice, target: string): Promise<void> {
    await this.health.requireReadable(disk.folder);
    const copy = ["cp", "--sparse=always", "--", disk.path] as const;
    await exportTo(target, async (path) => void await this.#run([...copy, path]));
  }

  /** {@inheritDoc RootfsStore.templates} */
  async templates(): Promise<Base[]> {
    return await this.#bases.list();
  }

  /** {@inheritDoc RootfsStore.sweep} Devices and loops that a dead agent left go, too. */
  async sweep(keep: ReadonlySet<string>): Promise<number> {
    const ids = await this.#folders.ids();
    const records = new Map<string, DiskRecord>();
    for (const id of ids) {
      const record = await readRecord(this.#folders.path(id)).catch((error: unknown) => {
        this.#log.error("A disk cannot be used", { id, error });
      });
      if (record) records.set(id, record);
    }
    const kept = [...records].flatMap(([id, record]) => keep.has(id) ? [record] : []);
    const root = await Deno.realPath(this.#folders.root).catch(() => this.#folders.root);
    const busy = await this.#turns.take(() => this.#stacks.clear(kept, root));
    let removed = 0;
    for (const id of ids) {
      if (keep.has(id)) continue;
      try {
        await this.remove(id);
        removed++;
      } catch (error) {
        this.#log.error("Cannot remove a disk that nobody needs", { id, error });
      }
    }
    if (busy.length > 0) this.#log.warn("Devices of no disk were in use", { busy });
    return removed;
  }

  /** The writable layer over the others, the record and the devices of a new disk. */
  async #begin(folder: string, below: readonly string[], sizeMb: number): Promise<BlockDevice> {
    if (below.length === 0) throw new Error("A disk without a base");
    const layers = [...below, await this.#newLayer(folder, sizeMb)];
    const record = { device: randomHex(8), sizeMb, layers };
    await writeRecord(folder, record);
    await this.#turns.take(() => this.#bringUp(folder, record));
    return this.#deviceOf(folder, record);
  }

  async #newLayer(folder: string, sizeMb: number): Promise<string> {
    const name = newLayerName("cow");
    await writeCow(folder, name, Math.min(wholeStoreBytes(sizeMb), this.#cowBytes));
    return name;
  }

  async #takeDown(record: DiskRecord): Promise<boolean> {
    return await this.#turns.take(() => this.#stacks.takeDown(record));
  }

  async #bringUp(folder: string, record: DiskRecord): Promise<void> {
    const { mended } = await this.#stacks.bringUp(folder, record);
    if (mended) this.#log.warn("Mended a disk that the host could not write", { folder });
  }

  /** Writes out what was written to a disk through the page cache, out of turn: it may take long. */
  async #sync(record: DiskRecord): Promise<void> {
    await this.#stacks.requireMoving(record);
    try {
      using device = await Deno.open(this.#stacks.pathOf(record), { read: true, write: true });
      await device.sync();
    } catch (error) {
      // A disk that is not up has nothing to write out.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Goes over from one record to another. */
  async #change(folder: string, from: DiskRecord, to: DiskRecord): Promise<void> {
    await writeRecord(folder, to);
    try {
      if (await this.#stacks.topLayer(from) === undefined) await this.#bringUp(folder, to);
      else await this.#stacks.change(folder, to);
    } catch (error) {
      await writeRecord(folder, from);
      throw error;
    }
  }

  #deviceOf(folder: string, record: DiskRecord): BlockDevice {
    const { sizeMb, layers } = record;
    return { path: this.#stacks.pathOf(record), format: "raw", sizeMb, folder, layers };
  }
}

function instanceOf(dataDir: string): string {
  return createHash("sha256").update(resolve(dataDir)).digest("hex").slice(0, 8);
}
