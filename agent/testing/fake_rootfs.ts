/** Disks as folders of small files: links and layers are real, their content is not. */
import { join } from "node:path";
import { WrennError } from "@wrenn/common";
import type {
  Base,
  BlockDevice,
  FrozenDisk,
  LayerControl,
  RootfsStore,
  VmmRoot,
} from "../rootfs/store.ts";

/** Lets a test break a step. */
export type BreakAt = (step: "acquireBase" | "overlay", error?: Error) => void;

/** The store. One template, `base`. */
export class FakeRootfs implements RootfsStore {
  readonly kind = "qcow2";
  /** The image; a test may replace it. */
  base: Base = { template: "base", path: "/base", sizeMb: 1024, hash: "h" };
  /** Ids that disks had, and have now. */
  readonly renamed: Map<string, string> = new Map();
  readonly #root: string;
  readonly #breakAt: BreakAt;
  #references = 0;
  #layers = 0;

  constructor(root: string, breakAt: BreakAt) {
    this.#root = root;
    this.#breakAt = breakAt;
    Deno.mkdirSync(root, { recursive: true });
  }

  /** Ids of the disks that are there. */
  ids(): string[] {
    return [...Deno.readDirSync(this.#root)].map(({ name }) => name);
  }

  async acquireBase(template: string): Promise<Base> {
    await Promise.resolve();
    this.#breakAt("acquireBase");
    if (template !== "base") {
      throw new WrennError("template_not_found", `Template '${template}' not found`);
    }
    this.#references++;
    return this.base;
  }

  releaseBase(): void {
    this.#references--;
  }

  references(): number {
    return this.#references;
  }

  async overlay(id: string, _base: Base, sizeMb: number): Promise<BlockDevice> {
    return await this.#make(id, [], undefined, sizeMb || this.base.sizeMb);
  }

  async overlayOn(id: string, frozen: FrozenDisk, root?: VmmRoot): Promise<BlockDevice> {
    return await this.#make(id, frozen.layers, frozen.folder, frozen.sizeMb, root?.disk.folder);
  }

  async reserve(id: string, sizeMb: number): Promise<BlockDevice> {
    const folder = join(this.#root, id);
    await Deno.mkdir(folder);
    return { path: folder, format: "qcow2", sizeMb, folder, layers: [] };
  }

  async addLayer(disk: BlockDevice): Promise<BlockDevice> {
    return await this.#layer(disk.folder, disk.layers, disk.sizeMb);
  }

  async switchTo(next: BlockDevice, control: LayerControl | undefined): Promise<void> {
    await control?.switchTo(next);
  }

  asWritten(disk: BlockDevice): Promise<BlockDevice> {
    return Promise.resolve(disk);
  }

  async flatten(
    disk: BlockDevice,
    layer: string,
    control: LayerControl | undefined,
  ): Promise<BlockDevice> {
    await control?.flatten(layer);
    const kept = disk.layers.slice(0, disk.layers.indexOf(layer) + 1);
    return { ...disk, layers: [...kept, ...disk.layers.slice(-1)] };
  }

  async freeze(
    disk: BlockDevice,
    folder: string,
    { below = false }: { below?: boolean } = {},
  ): Promise<FrozenDisk> {
    const layers = below ? disk.layers.slice(0, -1) : disk.layers;
    for (const name of layers) await Deno.link(join(disk.folder, name), join(folder, name));
    return { folder, layers, sizeMb: disk.sizeMb };
  }

  async mergeLayers(frozen: FrozenDisk, layer: string): Promise<FrozenDisk> {
    const kept = frozen.layers.slice(0, frozen.layers.indexOf(layer) + 1);
    const above = frozen.layers.slice(kept.length);
    for (const gone of above.slice(0, -1)) await Deno.remove(join(frozen.folder, gone));
    return { ...frozen, layers: [...kept, ...above.slice(-1)] };
  }

  async failHeld(): Promise<void> {}

  async rename(disk: BlockDevice, id: string): Promise<BlockDevice> {
    const folder = join(this.#root, id);
    await Deno.rename(disk.folder, folder);
    this.renamed.set(disk.folder.slice(this.#root.length + 1), id);
    return { ...disk, folder, path: join(folder, disk.layers.at(-1) ?? "") };
  }

  async find(id: string): Promise<BlockDevice> {
    const folder = join(this.#root, id);
    const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
    const layers = names.filter((name) => name.startsWith("layer-")).sort();
    const path = join(folder, layers.at(-1) ?? "");
    return { path, format: "qcow2", sizeMb: this.base.sizeMb, folder, layers };
  }

  async remove(id: string): Promise<void> {
    await Deno.remove(join(this.#root, id), { recursive: true }).catch((error: unknown) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  usedMb(): Promise<number> {
    return Promise.resolve(3);
  }

  async exportImage(_disk: BlockDevice, target: string): Promise<void> {
    await Deno.writeTextFile(target, "", { createNew: true });
  }

  templates(): Promise<Base[]> {
    return Promise.resolve([this.base]);
  }

  async sweep(keep: ReadonlySet<string>): Promise<number> {
    const stale = this.ids().filter((id) => !keep.has(id));
    for (const id of stale) await this.remove(id);
    return stale.length;
  }

  async #make(
    id: string,
    below: readonly string[],
    from: string | undefined,
    sizeMb: number,
    reserved?: string,
  ): Promise<BlockDevice> {
    this.#breakAt("overlay", new Error("write: No space left on device (os error 28)"));
    const folder = join(this.#root, id);
    await (reserved === undefined ? Deno.mkdir(folder) : Deno.rename(reserved, folder));
    try {
      for (const name of below) await Deno.link(join(from ?? "", name), join(folder, name));
      return await this.#layer(folder, below, sizeMb);
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }

  async #layer(folder: string, below: readonly string[], sizeMb: number): Promise<BlockDevice> {
    const name = `layer-${String(++this.#layers).padStart(16, "0")}.qcow2`;
    const path = join(folder, name);
    await Deno.writeTextFile(path, name);
    return { path, format: "qcow2", sizeMb, folder, layers: [...below, name] };
  }
}
