/** Root disks as qcow2 overlays over raw ext4 images. */
import { hasCode, isSandboxId, type Logger, logger, WrennError } from "@wrenn/common";
import { statfs } from "node:fs/promises";
import { ImageManifest, isTemplateName } from "./manifest.ts";
import { qcow2Overlay, type SparseFile } from "./qcow2_header.ts";
import type { Base, BlockDevice, RootfsStore } from "./store.ts";

const MIB = 1024 * 1024;
/** Largest disk: what a qcow2 L1 table of one cluster covers. */
const MAX_DISK_MB = 4 * 1024 * 1024;
/** Name of the overlay in a sandbox's folder. */
const DISK = "disk.qcow2";
/** Name of the hard link to the base in a sandbox's folder. */
const BASE_LINK = "base.ext4";

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
 * Layers in `sandboxes/{id}/disk.qcow2`, folders of mode 0700. Each folder holds a hard link to the base it
 * was made from, and the overlay names that: a template that is built again, or removed, leaves the disks of
 * existing sandboxes whole. Where `images/` is another file system, the overlay names the image itself.
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
  async overlay(sandboxId: string, base: Base, sizeMb: number): Promise<BlockDevice> {
    const folder = this.#folder(sandboxId);
    const size = diskSize(base, sizeMb);
    if (!this.#held.has(base)) throw new Error(`Base of '${base.template}' is not held`);
    await Deno.mkdir(this.#sandboxes, { recursive: true, mode: 0o700 });
    await this.#requireSpace();
    await makeFolder(folder, sandboxId);
    try {
      const backing = await linkBase(base.path, folder);
      await writeSparse(`${folder}/${DISK}`, qcow2Overlay(size * MIB, backing));
      return { path: `${folder}/${DISK}`, format: "qcow2", sizeMb: size };
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw spaceError(error);
    }
  }

  /** {@inheritDoc RootfsStore.remove} */
  async remove(sandboxId: string): Promise<void> {
    await removeTree(this.#folder(sandboxId));
  }

  /** {@inheritDoc RootfsStore.usedMb} */
  async usedMb(sandboxId: string): Promise<number> {
    try {
      const { blocks } = await Deno.stat(`${this.#folder(sandboxId)}/${DISK}`);
      return Math.ceil((blocks ?? 0) * 512 / MIB);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      throw new WrennError("sandbox_not_found", `Sandbox '${sandboxId}' has no disk`, { cause });
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
    const stale = (await namesIn(this.#sandboxes)).filter((id) => isSandboxId(id) && !keep.has(id));
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

  /** Only a well-formed id becomes part of a path. */
  #folder(sandboxId: string): string {
    if (isSandboxId(sandboxId)) return `${this.#sandboxes}/${sandboxId}`;
    throw new WrennError("invalid_request", `Wrong sandbox id '${sandboxId.slice(0, 64)}'`);
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

async function makeFolder(folder: string, sandboxId: string): Promise<void> {
  try {
    await Deno.mkdir(folder, { mode: 0o700 });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw spaceError(cause);
    throw new WrennError("already_exists", `Sandbox '${sandboxId}' has a disk already`, { cause });
  }
}

/** Links the base into the folder; answers how the overlay names it. */
async function linkBase(path: string, folder: string): Promise<string> {
  try {
    await Deno.link(path, `${folder}/${BASE_LINK}`);
    return BASE_LINK;
  } catch (error) {
    if (systemCode(error) !== "EXDEV") throw error;
    return path;
  }
}

async function writeSparse(path: string, content: SparseFile): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  for (const { at, bytes } of content.parts) {
    await file.seek(at, Deno.SeekMode.Start);
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  }
  await file.truncate(content.length);
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
