/**
 * Devices of disks. A disk's writable device lies over read-only ones, one per frozen layer and one for the base, which
 * all disks with the same layers share:
 *
 * ```
 * wrenn-{instance}-{device}          snapshot, the writable layer
 * wrenn-{instance}-ro-{layer}        snapshot, a frozen layer      shared
 * wrenn-{instance}-base-{hash}-{mb}  linear + zero, the image      shared
 * ```
 *
 * Nothing here remembers who uses what: the kernel counts who has a device open, and a shared one whose count is 0 is
 * removed. The loop devices end with the devices over them. Each table has loop devices of its own, so that no table
 * takes over the exceptions of another one from the kernel's memory: what a table knows, it has read from the file.
 */
import { CleanupStack } from "@wrenn/common";
import { join } from "node:path";
import { type DmDevice, unusedDevices } from "../../core/dm_devices.ts";
import type { DmNames } from "../../core/dm_names.ts";
import type { SnapshotStatus } from "../../core/dm_status.ts";
import { baseTable, frozenTable, writableTable } from "../../core/dm_table.ts";
import { noSpace } from "../../snapshot/space.ts";
import { isBase } from "../disk_files.ts";
import { isCowValid, mendCow } from "./cow_file.ts";
import { type DeviceMapper, nodeOf } from "./device_mapper.ts";
import type { DiskRecord } from "./disk_record.ts";
import { loopFile, type LoopMode, type Loops } from "./loops.ts";

/** What stacks are made with. */
export interface StackParts {
  readonly dm: DeviceMapper;
  readonly loops: Loops;
  readonly names: DmNames;
  /** How loop devices of writable layers are made. */
  readonly writable: LoopMode;
}

type Devices = ReadonlyMap<string, DmDevice>;

/** Makes, changes and removes the devices of disks. One call at a time: the caller sees to it. */
export class Stacks {
  readonly #dm: DeviceMapper;
  readonly #loops: Loops;
  readonly #names: DmNames;
  readonly #writable: LoopMode;

  /** @param parts Host programs, and the names of this agent's devices. */
  constructor({ dm, loops, names, writable }: StackParts) {
    this.#dm = dm;
    this.#loops = loops;
    this.#names = names;
    this.#writable = writable;
  }

  /** Path of a disk's writable device. */
  pathOf(record: DiskRecord): string {
    return nodeOf(this.#nameOf(record));
  }

  /**
   * Brings a disk's devices up and answers whether its top layer had to be mended for it. What is up stays as it is;
   * what a dead agent left half-made or suspended is finished.
   */
  async bringUp(folder: string, record: DiskRecord): Promise<{ mended: boolean }> {
    const name = this.#nameOf(record);
    const devices = await this.#dm.devices();
    const there = devices.get(name);
    if (there && there.uses.length > 0) {
      if (there.suspended) await this.#dm.resume([name]);
      return { mended: false };
    }
    await using undo = new CleanupStack();
    if (there) await this.#dm.remove([name]);
    const below = await this.#below(folder, record, devices, undo);
    const top = topOf(folder, record);
    const mended = !(await isCowValid(top));
    if (mended) await mendCow(top);
    await this.#create(
      name,
      { path: top, mode: this.#writable, undo },
      (loop) => writableTable(below, loop, record.sizeMb),
    );
    undo.keep();
    return { mended };
  }

  /**
   * Puts the layers of a record into force on a device that is up and may be open. Its I/O waits meanwhile. On failure
   * the device goes on as it was.
   */
  async change(folder: string, record: DiskRecord): Promise<void> {
    const name = this.#nameOf(record);
    await this.#suspended(name, async (devices, undo) => {
      const below = await this.#below(folder, record, devices, undo);
      await this.#loadTop(folder, record, below);
    });
  }

  /** @throws {WrennError} `no_space` while a disk's I/O is held. */
  async requireMoving(record: DiskRecord): Promise<void> {
    if (await this.isHeld(record)) throw noSpace();
  }

  /** Whether a disk's I/O waits. */
  async isHeld(record: DiskRecord): Promise<boolean> {
    return (await this.#find(record))?.suspended ?? false;
  }

  /** Lets what is under way, and what was written through the page cache, reach the layer's file. */
  async settle(record: DiskRecord): Promise<void> {
    if (await this.#isUp(record)) await this.#suspended(this.#nameOf(record), async () => {});
  }

  /** Makes a device usable again whose top layer the kernel has given up. */
  async mend(folder: string, record: DiskRecord): Promise<void> {
    const name = this.#nameOf(record);
    await this.#suspended(name, async (devices, undo) => {
      await mendCow(topOf(folder, record));
      const below = await this.#below(folder, record, devices, undo);
      await this.#loadTop(folder, record, below);
    }, { now: true });
  }

  /** Name of the layer that a disk's device writes. Undefined when it is not up. */
  async topLayer(record: DiskRecord): Promise<string | undefined> {
    return await loopFile((await this.#find(record))?.uses ?? []);
  }

  /** What the kernel says of a disk's device. Undefined when it is not up. */
  async status(record: DiskRecord): Promise<SnapshotStatus | undefined> {
    return await this.#isUp(record) ? await this.#dm.status(this.#nameOf(record)) : undefined;
  }

  /** Removes a disk's devices, and shared ones that nothing uses then. False when somebody has it open. */
  async takeDown(record: DiskRecord): Promise<boolean> {
    const there = await this.#find(record);
    if (there && !(await this.#dm.removeIfClosed(there.name))) return false;
    await this.prune();
    return true;
  }

  /** Removes shared devices that nothing uses. */
  async prune(): Promise<void> {
    const devices = await this.#dm.devices();
    await this.#dm.remove(unusedDevices(devices, (name) => this.#names.isShared(name)));
  }

  /**
   * Removes every device of this agent but those of the given disks, and loop devices over files in `folder` that no
   * device uses. Lets I/O of the others go on. Answers which disks somebody keeps open.
   */
  async clear(keep: readonly DiskRecord[], folder: string): Promise<string[]> {
    const kept = new Set(keep.map((record) => this.#nameOf(record)));
    const busy: string[] = [];
    for (const { name, suspended } of await this.#disks()) {
      if (!kept.has(name)) {
        if (!(await this.#dm.removeIfClosed(name))) busy.push(name);
      } else if (suspended) await this.#dm.resume([name]);
    }
    await this.prune();
    for (const { path } of await this.#loops.under(folder)) await this.#loops.detach(path);
    return busy;
  }

  /** Suspends the devices of all disks at once, or lets their I/O go on. */
  async hold(held: boolean): Promise<void> {
    const others = (await this.#disks()).filter((d) => d.uses.length > 0 && d.suspended !== held);
    const names = others.map(({ name }) => name);
    await (held ? this.#dm.suspend(names, { now: true }) : this.#dm.resume(names));
  }

  /** Fails a device's I/O from now on. */
  async fail(record: DiskRecord): Promise<void> {
    if (await this.#isUp(record)) await this.#dm.fail(this.#nameOf(record));
  }

  /** Brings up what lies below a disk's top layer and answers the path of the uppermost of it. */
  async #below(
    folder: string,
    { layers, sizeMb }: DiskRecord,
    devices: Devices,
    undo: CleanupStack,
  ): Promise<string> {
    let below = "";
    for (const file of layers.slice(0, -1)) {
      const name = isBase(file) ? this.#names.base(file, sizeMb) : this.#names.layer(file);
      const there = devices.get(name);
      if (there && !there.live) await this.#dm.remove([name]);
      if (!there?.live) {
        const path = join(folder, file);
        const { size } = await Deno.stat(path);
        await this.#create(
          name,
          { path, mode: { readOnly: true }, undo },
          (loop) => below === "" ? baseTable(loop, size, sizeMb) : frozenTable(below, loop, sizeMb),
        );
      }
      below = nodeOf(name);
    }
    return below;
  }

  async #create(
    name: string,
    { path, mode, undo }: { path: string; mode: LoopMode; undo: CleanupStack },
    tableOver: (loop: string) => string,
  ): Promise<void> {
    await this.#loops.lend(path, mode, async (loop) => {
      await this.#dm.create(name, tableOver(loop), { readOnly: mode.readOnly ?? false });
      undo.add(() => this.#dm.remove([name]), name);
    });
  }

  async #loadTop(folder: string, record: DiskRecord, below: string): Promise<void> {
    await this.#loops.lend(topOf(folder, record), this.#writable, async (loop) => {
      const table = writableTable(below, loop, record.sizeMb);
      await this.#dm.load(this.#nameOf(record), table);
    });
  }

  /**
   * Does `work` while a device is suspended, and lets it go on whatever becomes of that.
   *
   * @throws {WrennError} `no_space` while it is held.
   */
  async #suspended(
    name: string,
    work: (devices: Devices, undo: CleanupStack) => Promise<void>,
    how: { now?: boolean } = {},
  ): Promise<void> {
    const devices = await this.#dm.devices();
    if (devices.get(name)?.suspended) throw noSpace();
    await this.#dm.suspend([name], how);
    const undo = new CleanupStack();
    undo.add(() => this.#dm.resume([name]), "suspended device");
    try {
      await work(devices, undo);
      await this.#dm.resume([name]);
    } catch (error) {
      // A table that is still there keeps devices open; that they cannot be removed is told below.
      await this.#dm.clear(name).catch(() => {});
      await undo.run();
      throw error;
    }
  }

  async #find(record: DiskRecord): Promise<DmDevice | undefined> {
    return (await this.#dm.devices()).get(this.#nameOf(record));
  }

  async #isUp(record: DiskRecord): Promise<boolean> {
    return ((await this.#find(record))?.uses.length ?? 0) > 0;
  }

  /** Devices of disks, not those that they share. */
  async #disks(): Promise<DmDevice[]> {
    return [...(await this.#dm.devices()).values()]
      .filter(({ name }) => this.#names.isOurs(name) && !this.#names.isShared(name));
  }

  #nameOf({ device }: DiskRecord): string {
    return this.#names.disk(device);
  }
}

function topOf(folder: string, { layers }: DiskRecord): string {
  return join(folder, layers.at(-1) ?? "");
}
