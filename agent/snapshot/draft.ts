/** A snapshot while it is made: a folder that nobody lists, until its manifest is on disk and it gets its name. */
import { basename, join } from "node:path";
import { sideBySide, type SnapshotId } from "@wrenn/common";
import {
  type DiskFile,
  FORMAT,
  manifestDigest,
  type MemoryFile,
  type Snapshot,
  type SnapshotFile,
  type SnapshotManifest,
} from "./manifest.ts";
import { spaceError } from "./space.ts";
import type { VerifiedFiles } from "./verified.ts";

/** What a manifest says beside its files. */
export type SnapshotFacts = Omit<
  SnapshotManifest,
  "format" | "id" | "bytes" | "digest" | "state" | "memory" | "disk"
>;

/** Facts, and the names of the files that are in the draft. */
export interface SnapshotContent extends SnapshotFacts {
  readonly state: string;
  /** Base first. An empty digest is worked out. */
  readonly memory: readonly MemoryFile[];
  /** The template's image first. */
  readonly disk: readonly string[];
}

/** Larger layers are digested by their beginning: their content is the guest's file systems' to check. */
const WHOLE_BYTES = 64 << 20;
const HEAD_BYTES = 1 << 20;

/** Files that are synced at once. */
const SYNCS = 16;

/** Bytes of a disk file that its digest covers. */
export function digestedBytes(digested: DiskFile["digested"]): number {
  return digested === "whole" ? Infinity : HEAD_BYTES;
}

/** Called between the steps of a commit; a test makes it throw. */
export type CommitHook = (step: string) => void;

/** What a draft works with. */
export interface DraftOptions {
  readonly id: SnapshotId;
  /** Folder of the snapshots. */
  readonly root: string;
  readonly verified: VerifiedFiles;
  readonly hook: CommitHook;
  /** Told of the snapshot when it has its name. */
  readonly committed: (snapshot: Snapshot) => void;
}

/** Name of a draft's folder. */
export function draftName(id: string): string {
  return `.draft-${id}`;
}

/** A folder that becomes a snapshot. Disposing of it without a commit removes it. */
export class SnapshotDraft implements AsyncDisposable {
  readonly id: SnapshotId;
  /** Where its files are written. */
  readonly dir: string;
  readonly #options: DraftOptions;
  /** Committed or lent: the folder is no longer ours to remove. */
  #kept = false;

  /** @param options The folder exists. */
  constructor(options: DraftOptions) {
    this.#options = options;
    this.id = options.id;
    this.dir = join(options.root, draftName(options.id));
  }

  /** Links a file of another snapshot or of a disk, under its own name unless told. */
  async link(from: string, name: string = basename(from)): Promise<void> {
    await Deno.link(from, join(this.dir, name));
  }

  /** Makes everything durable and gives it its name. @throws {WrennError} `no_space` */
  async commit(content: SnapshotContent): Promise<Snapshot> {
    try {
      return await this.#commit(content);
    } catch (error) {
      throw spaceError(error);
    }
  }

  /**
   * Makes a snapshot that is used at once and then removed. It does not outlive the agent: nothing is synced, the
   * digests of its files are not worked out, and the folder keeps the name by which a start sweeps it.
   */
  async lend(content: SnapshotContent): Promise<Snapshot> {
    const { state, memory, disk, ...facts } = content;
    const file = async (name: string): Promise<SnapshotFile> => {
      const { size } = await Deno.stat(join(this.dir, name));
      return { file: name, bytes: size, digest: "" };
    };
    const disks: DiskFile[] = [];
    for (const name of disk) disks.push({ ...await file(name), digested: "head" });
    const manifest = this.#undigested(facts, 0, { state: await file(state), memory, disk: disks });
    this.#kept = true;
    return { id: this.id, dir: this.dir, manifest };
  }

  /** Removes the folder unless it was committed or lent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#kept) await Deno.remove(this.dir, { recursive: true });
  }

  async #commit(content: SnapshotContent): Promise<Snapshot> {
    const { hook, root, id, committed } = this.#options;
    const manifest = await this.#manifest(content);
    hook("files");
    const names = await Array.fromAsync(Deno.readDir(this.dir), ({ name }) => name);
    // The image was synced when it was built.
    const ours = names.filter((name) => !name.startsWith("base-"));
    await sideBySide(ours, SYNCS, (name) => makeDurable(join(this.dir, name)));
    hook("synced");
    const path = join(this.dir, "manifest.json");
    await Deno.writeTextFile(path, JSON.stringify(manifest, undefined, 1) + "\n", { mode: 0o600 });
    hook("manifest");
    await makeDurable(path);
    await syncFolder(this.dir);
    hook("folder");
    const dir = join(root, id);
    await Deno.rename(this.dir, dir);
    try {
      hook("renamed");
      await syncFolder(root);
    } catch (error) {
      // What failed is not to be found later.
      await Deno.rename(dir, this.dir);
      throw error;
    }
    this.#kept = true;
    const snapshot = { id, dir, manifest };
    committed(snapshot);
    return snapshot;
  }

  async #manifest(content: SnapshotContent): Promise<SnapshotManifest> {
    const { verified } = this.#options;
    const { state: stateName, memory: memoryFiles, disk: diskNames, ...facts } = content;
    const at = (name: string): string => join(this.dir, name);
    const state = {
      file: stateName,
      bytes: (await Deno.stat(at(stateName))).size,
      digest: await verified.digest(at(stateName)),
    };
    const memory: MemoryFile[] = [];
    for (const file of memoryFiles) {
      const known = file.digest !== "";
      // Worked out while it was written. A shared file may have been damaged since.
      const isNew = (await Deno.stat(at(file.file))).nlink === 1;
      if (known && isNew) await verified.note(at(file.file), file.digest);
      memory.push(known ? file : { ...file, digest: await verified.digest(at(file.file)) });
    }
    // One after another: a file that fails must not leave others at work in a folder that goes away.
    const disk: DiskFile[] = [];
    for (const name of diskNames) {
      const { size } = await Deno.stat(at(name));
      const digested = name.endsWith(".ext4") || size > WHOLE_BYTES ? "head" : "whole";
      const digest = await verified.digest(at(name), digestedBytes(digested));
      disk.push({ file: name, bytes: size, digest, digested });
    }
    const bytes = await this.#ownBytes(diskNames);
    const manifest = this.#undigested(facts, bytes, { state, memory, disk });
    return { ...manifest, digest: manifestDigest(manifest) };
  }

  /** The manifest without the digest of itself. */
  #undigested(
    facts: SnapshotFacts,
    bytes: number,
    files: Pick<SnapshotManifest, "state" | "memory" | "disk">,
  ): SnapshotManifest {
    return { format: FORMAT, id: this.id, ...facts, bytes, digest: "", ...files };
  }

  /** Bytes on disk of what is new: files without another link, and the layer that was written last. */
  async #ownBytes(diskNames: readonly string[]): Promise<number> {
    let blocks = 0;
    for await (const { name } of Deno.readDir(this.dir)) {
      const info = await Deno.stat(join(this.dir, name));
      if (info.nlink === 1 || name === diskNames.at(-1)) blocks += info.blocks ?? 0;
    }
    return blocks * 512;
  }
}

async function makeDurable(path: string): Promise<void> {
  await Deno.chmod(path, 0o400);
  using file = await Deno.open(path);
  await file.sync();
}

async function syncFolder(path: string): Promise<void> {
  using folder = await Deno.open(path);
  await folder.sync();
}
