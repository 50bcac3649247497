/** Root disks as chains of qcow2 layers over raw ext4 images. */
import { hasCode, isSandboxId, type Logger, logger, WrennError } from "@wrenn/common";
import { statfs } from "node:fs/promises";
import { basename, join } from "node:path";
import { baseName, isDiskFile, newLayerName, readDisk, writeLayer } from "./disk_folder.ts";
import { ImageManifest, isTemplateName } from "./manifest.ts";
import type { Base, BlockDevice, FrozenDisk, LayerControl, RootfsStore } from "./store.ts";

const MIB = 1024 * 1024;
/** Largest disk: what a qcow2 L1 table of one cluster covers. */
const MAX_DISK_MB = 4 * 1024 * 1024;
/** A machine that is nobody's: in a pool, or becoming a golden snapshot. */
const NOBODYS = /^(?:warm|gold)-[0-9a-f]{16}$/;
/** The VMM passes through as the VM's uid, and lists nothing. */
const FOLDER_MODE = 0o711;

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
  readonly #images: string;
  readonly #sandboxes: string;
  readonly #reserveMb: number;
  readonly #log: Logger;
  readonly #held = new Set<Base>();

  constructor(options: Qcow2StoreOptions) {
    this.#images = `${options.dataDir}/images`;
    this.#sandboxes = `${options.dataDir}/sandboxes`;
    this.#reserveMb = options.reserveMb ?? 256;
    this.#log = options.log ?? logger("agent", "rootfs");
  }

  /** {@inheritDoc RootfsStore.acquireBase} */
  async acquireBase(template: string): Promise<Base> {
    const base = await this.#readBase(template);
    this.#held.add(base);
    return base;
  }

  /** {@inheritDoc RootfsStore.releaseBase} */
  releaseBase(base: Base): void {
    this.#held.delete(base);
  }

  /** {@inheritDoc RootfsStore.references} */
  references(template: string): number {
    let count = 0;
    for (const base of this.#held) if (base.template === template) count++;
    return count;
  }

  /** {@inheritDoc RootfsStore.overlay} */
  async overlay(diskId: string, base: Base, sizeMb: number): Promise<BlockDevice> {
    const size = diskSize(base, sizeMb);
    if (!this.#held.has(base)) throw new Error(`Base of '${base.template}' is not held`);
    const link = await baseName(base.hash);
    return await this.#make(diskId, async (folder) => {
      await linkBase(base.path, join(folder, link));
      return await withNewLayer(folder, [link], size);
    });
  }

  /** {@inheritDoc RootfsStore.overlayOn} */
  async overlayOn(diskId: string, frozen: FrozenDisk): Promise<BlockDevice> {
    return await this.#make(diskId, async (folder) => {
      await linkAll(frozen.layers, frozen.folder, folder);
      return await withNewLayer(folder, frozen.layers, frozen.sizeMb);
    });
  }

  /** {@inheritDoc RootfsStore.addLayer} */
  async addLayer(disk: BlockDevice, uid: number): Promise<BlockDevice> {
    try {
      await this.#requireSpace();
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
      for (const name of frozen) {
        if (name.startsWith("base-")) continue;
        await Deno.chown(join(folder, name), 0, 0);
        await Deno.chmod(join(folder, name), 0o400);
      }
      return { folder, layers: frozen, sizeMb };
    } catch (error) {
      throw spaceError(error);
    }
  }

  /** {@inheritDoc RootfsStore.rename} */
  async rename(disk: BlockDevice, diskId: string): Promise<BlockDevice> {
    const folder = this.#folder(diskId);
    if (await exists(folder)) {
      throw new WrennError("already_exists", `Sandbox '${diskId}' has a disk already`);
    }
    await Deno.rename(disk.folder, folder);
    return { ...disk, folder, path: join(folder, basename(disk.path)) };
  }

  /** {@inheritDoc RootfsStore.find} */
  async find(diskId: string): Promise<BlockDevice> {
    const folder = this.#folder(diskId);
    if (!(await exists(folder))) {
      throw new WrennError("sandbox_not_found", `Sandbox '${diskId}' has no disk`);
    }
    return await readDisk(folder);
  }

  /** {@inheritDoc RootfsStore.remove} */
  async remove(diskId: string): Promise<void> {
    await removeTree(this.#folder(diskId));
  }

  /** {@inheritDoc RootfsStore.usedMb} */
  async usedMb(diskId: string): Promise<number> {
    const folder = this.#folder(diskId);
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

  /** {@inheritDoc RootfsStore.templates} */
  async templates(): Promise<Base[]> {
    const bases: Base[] = [];
    for (const file of await namesIn(this.#images)) {
      const template = file.endsWith(".json") ? file.slice(0, -5) : "";
      if (!isTemplateName(template)) continue;
      try {
        bases.push(await this.#readBase(template));
      } catch (error) {
        if (!hasCode(error, "template_not_found")) throw error;
        this.#log.warn("A template cannot be used", { template, error });
      }
    }
    return bases;
  }

  /** {@inheritDoc RootfsStore.sweep} */
  async sweep(keep: ReadonlySet<string>): Promise<number> {
    const stale = (await namesIn(this.#sandboxes)).filter((id) => isDiskId(id) && !keep.has(id));
    for (const id of stale) await removeTree(this.#folder(id));
    return stale.length;
  }

  async #readBase(template: string): Promise<Base> {
    const unknown = (cause?: unknown) =>
      new WrennError("template_not_found", `Template '${template.slice(0, 64)}' does not exist`, {
        cause,
      });
    const damaged = (cause?: unknown) =>
      new WrennError("template_not_found", `Template '${template}' is damaged on this host`, {
        cause,
      });
    if (!isTemplateName(template)) throw unknown();
    const path = `${this.#images}/${template}.ext4`;
    let text: string;
    let image: Deno.FileInfo;
    try {
      text = await Deno.readTextFile(`${this.#images}/${template}.json`);
      image = await Deno.stat(path);
    } catch (error) {
      throw error instanceof Deno.errors.NotFound ? unknown(error) : error;
    }
    const manifest = parseManifest(text);
    if (manifest instanceof Error) throw damaged(manifest);
    if (manifest.name !== template || !image.isFile || image.size > manifest.disk_mb * MIB) {
      throw damaged(new Error("Manifest and image do not belong together"));
    }
    return { template, path, sizeMb: manifest.disk_mb, hash: manifest.hash };
  }

  /** Makes a disk's folder and what `fill` puts into it; nothing stays when that fails. */
  async #make(
    diskId: string,
    fill: (folder: string) => Promise<BlockDevice>,
  ): Promise<BlockDevice> {
    const folder = this.#folder(diskId);
    await Deno.mkdir(this.#sandboxes, { recursive: true, mode: FOLDER_MODE });
    await this.#requireSpace();
    await makeFolder(folder, diskId);
    try {
      return await fill(folder);
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw spaceError(error);
    }
  }

  /** Only a well-formed id becomes part of a path. */
  #folder(diskId: string): string {
    if (isDiskId(diskId)) return join(this.#sandboxes, diskId);
    throw new WrennError("invalid_request", `Wrong sandbox id '${diskId.slice(0, 64)}'`);
  }

  async #requireSpace(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#sandboxes);
    if (bavail * bsize < this.#reserveMb * MIB) throw noSpace();
  }
}

function diskSize(base: Base, sizeMb: number): number {
  if (!Number.isInteger(sizeMb) || sizeMb < 0 || sizeMb > MAX_DISK_MB) {
    throw new WrennError("invalid_request", `Disk size must be 0 to ${MAX_DISK_MB} MiB`);
  }
  if (sizeMb === 0) return base.sizeMb;
  if (sizeMb >= base.sizeMb) return sizeMb;
  throw new WrennError(
    "invalid_request",
    `Disk of ${sizeMb} MiB is smaller than template '${base.template}', ${base.sizeMb} MiB`,
  );
}

function parseManifest(text: string): ImageManifest | Error {
  try {
    return ImageManifest.parse(JSON.parse(text));
  } catch (error) {
    return error instanceof Error ? error : new Error("Unknown fault", { cause: error });
  }
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

/** The disk with an empty layer on top of what its folder has. */
async function withNewLayer(
  folder: string,
  layers: readonly string[],
  sizeMb: number,
  uid: number = 0,
): Promise<BlockDevice> {
  const below = layers.at(-1);
  if (below === undefined) throw new Error("A disk without a base");
  const name = newLayerName();
  await writeLayer(folder, name, below, { sizeMb, uid });
  return { path: join(folder, name), format: "qcow2", sizeMb, folder, layers: [...layers, name] };
}

async function linkBase(from: string, to: string): Promise<void> {
  try {
    await Deno.link(from, to);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EXDEV")) throw cause;
    throw new Error("Images, disks and snapshots must lie on one file system", { cause });
  }
}

async function linkAll(names: readonly string[], from: string, to: string): Promise<void> {
  for (const name of names) await Deno.link(join(from, name), join(to, name));
}

function required(control: LayerControl | undefined): LayerControl {
  if (control === undefined) throw new Error("This VMM does not read qcow2");
  return control;
}

function isDiskId(id: string): boolean {
  return isSandboxId(id) || NOBODYS.test(id);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Entries of a folder in order; none when it does not exist. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder), (entry) => entry.name)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function noSpace(cause?: unknown): WrennError {
  return new WrennError("no_space", "No disk space left on this host", { cause });
}

function spaceError(error: unknown): unknown {
  const code = systemCode(error);
  return code === "ENOSPC" || code === "EDQUOT" ? noSpace(error) : error;
}

function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
