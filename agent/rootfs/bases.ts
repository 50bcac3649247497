/** Base images of a host's templates, and who holds them. */
import { hasCode, type Logger, WrennError } from "@wrenn/common";
import { ImageManifest, isTemplateName } from "./manifest.ts";
import type { Base } from "./store.ts";

const MIB = 1024 * 1024;
/** Largest disk: what a qcow2 L1 table of one cluster covers. */
const MAX_DISK_MB = 4 * 1024 * 1024;

/** Reads `{template}.ext4` and `{template}.json` of a folder. */
export class Bases {
  readonly #folder: string;
  readonly #log: Logger;
  readonly #held = new Set<Base>();

  /** @param folder Folder of the images. */
  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Takes a reference. @throws {WrennError} `template_not_found` */
  async acquire(template: string): Promise<Base> {
    const base = await this.#read(template);
    this.#held.add(base);
    return base;
  }

  /** Gives a reference back. */
  release(base: Base): void {
    this.#held.delete(base);
  }

  /** References held on a template's base. */
  references(template: string): number {
    let count = 0;
    for (const base of this.#held) if (base.template === template) count++;
    return count;
  }

  /** Fails for a base that is not held. */
  requireHeld(base: Base): void {
    if (!this.#held.has(base)) throw new Error(`Base of '${base.template}' is not held`);
  }

  /** Usable templates by name. None of them is held. */
  async list(): Promise<Base[]> {
    const bases: Base[] = [];
    for (const file of await namesIn(this.#folder)) {
      const template = file.endsWith(".json") ? file.slice(0, -5) : "";
      if (!isTemplateName(template)) continue;
      try {
        bases.push(await this.#read(template));
      } catch (error) {
        if (!hasCode(error, "template_not_found")) throw error;
        this.#log.warn("A template cannot be used", { template, error });
      }
    }
    return bases;
  }

  async #read(template: string): Promise<Base> {
    const refusal = (message: string, cause?: unknown) =>
      new WrennError("template_not_found", message, { cause });
    const unknown = `Template '${template.slice(0, 64)}' does not exist`;
    const damaged = `Template '${template}' is damaged on this host`;
    if (!isTemplateName(template)) throw refusal(unknown);
    const path = `${this.#folder}/${template}.ext4`;
    let text: string;
    let image: Deno.FileInfo;
    try {
      text = await Deno.readTextFile(`${this.#folder}/${template}.json`);
      image = await Deno.stat(path);
    } catch (error) {
      throw error instanceof Deno.errors.NotFound ? refusal(unknown, error) : error;
    }
    const manifest = parseManifest(text);
    if (manifest instanceof Error) throw refusal(damaged, manifest);
    if (manifest.name !== template || !image.isFile || image.size > manifest.disk_mb * MIB) {
      throw refusal(damaged, new Error("Manifest and image do not belong together"));
    }
    return { template, path, sizeMb: manifest.disk_mb, hash: manifest.hash };
  }
}

/**
 * Size of a disk over a base; 0 asks for the base's own.
 *
 * @throws {WrennError} `invalid_request`
 */
export function diskSize(base: Base, sizeMb: number): number {
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

/** Entries of a folder in order; none when it does not exist. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder), (entry) => entry.name)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function parseManifest(text: string): ImageManifest | Error {
  try {
    return ImageManifest.parse(JSON.parse(text));
  } catch (error) {
    return error instanceof Error ? error : new Error("Unknown fault", { cause: error });
  }
}
