/** Snapshots in one folder: `{root}/snap-{hex}`, as docs/snapshots.md describes them. */
import { join } from "node:path";
import { statfs } from "node:fs/promises";
import {
  exists,
  hasCode,
  isSnapshotId,
  logger,
  newSnapshotId,
  type SnapshotId,
  WrennError,
} from "@wrenn/common";
import { collapseInto, type LayerMerger } from "./collapse.ts";
import { type CommitHook, digestedBytes, draftName, SnapshotDraft } from "./draft.ts";
import {
  manifestDigest,
  manifestSchema,
  type MemoryFile,
  type Snapshot,
  type SnapshotManifest,
} from "./manifest.ts";
import { noSpace, spaceError } from "./space.ts";
import { VerifiedFiles } from "./verified.ts";

/** Options of {@linkcode SnapshotStore}. */
export interface SnapshotStoreOptions {
  /** Folder of the snapshots; made when it is missing. */
  readonly root: string;
  /** Space that stays free, MiB: below it no draft is made. 256 by default. */
  readonly reserveMb?: number;
  /** Digests already worked out; stores whose snapshots share files share them. */
  readonly verified?: VerifiedFiles;
  /** Called between the steps of a commit, for tests. */
  readonly hook?: CommitHook;
}

const MIB = 1024 * 1024;
/** What is being made, and what is being removed. */
const PASSING = /^\.(?:draft|gone)-/;
const log = logger("agent", "snapshot");

/** Makes, finds, checks and removes snapshots. */
export class SnapshotStore {
  readonly #root: string;
  readonly #reserveMb: number;
  readonly #hook: CommitHook;
  readonly #verified: VerifiedFiles;
  readonly #manifests = new Map<SnapshotId, SnapshotManifest>();

  /** @param options Folder, reserve and what is known of files. */
  constructor(
    { root, reserveMb = 256, verified = new VerifiedFiles(), hook = () => {} }:
      SnapshotStoreOptions,
  ) {
    this.#root = root;
    this.#reserveMb = reserveMb;
    this.#verified = verified;
    this.#hook = hook;
    Deno.mkdirSync(root, { recursive: true, mode: 0o700 });
  }

  /** Removes what a dead agent left half-made or half-removed. Answers how many. */
  async sweep(): Promise<number> {
    let removed = 0;
    for await (const { name } of Deno.readDir(this.#root)) {
      if (!PASSING.test(name)) continue;
      await Deno.remove(join(this.#root, name), { recursive: true });
      removed++;
    }
    return removed;
  }

  /** Every snapshot whose manifest can be read. The others are told in the log. */
  async list(): Promise<Snapshot[]> {
    const found: Snapshot[] = [];
    for await (const { name } of Deno.readDir(this.#root)) {
      if (!isSnapshotId(name)) continue;
      try {
        found.push(await this.get(name));
      } catch (error) {
        // Removed in this moment, or damaged.
        if (!hasCode(error, "snapshot_not_found", "snapshot_corrupt")) throw error;
        log.warn("A snapshot cannot be read", { id: name, error });
      }
    }
    return found;
  }

  /** @throws {WrennError} `snapshot_not_found`; `snapshot_corrupt` when its manifest cannot be read. */
  async get(id: SnapshotId): Promise<Snapshot> {
    const dir = join(this.#root, id);
    const known = this.#manifests.get(id);
    if (known) return { id, dir, manifest: known };
    let text: string;
    try {
      text = await Deno.readTextFile(join(dir, "manifest.json"));
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      throw new WrennError("snapshot_not_found", `Snapshot '${id}' not found`, { cause });
    }
    const manifest = parse(id, text);
    this.#manifests.set(id, manifest);
    return { id, dir, manifest };
  }

  /** A folder for a new snapshot. @throws {WrennError} `no_space`, `already_exists` */
  async draft(id: SnapshotId = newSnapshotId()): Promise<SnapshotDraft> {
    const { bavail, bsize } = await statfs(this.#root);
    if (bavail * bsize < this.#reserveMb * MIB) throw noSpace();
    if (await exists(join(this.#root, id))) {
      throw new WrennError("already_exists", `Snapshot '${id}' exists already`);
    }
    try {
      await Deno.mkdir(join(this.#root, draftName(id)), { mode: 0o700 });
    } catch (cause) {
      if (!(cause instanceof Deno.errors.AlreadyExists)) throw spaceError(cause);
      throw new WrennError("already_exists", `Snapshot '${id}' is being made`, { cause });
    }
    return new SnapshotDraft({
      id,
      root: this.#root,
      verified: this.#verified,
      hook: this.#hook,
      committed: ({ manifest }) => this.#manifests.set(id, manifest),
    });
  }

  /** Removes a snapshot, also one that was lent. What others share with it stays. Idempotent. */
  async remove(id: SnapshotId): Promise<void> {
    this.#manifests.delete(id);
    const gone = join(this.#root, `.gone-${id}`);
    // A folder that is half removed must not look like a snapshot.
    const found = await renamed(join(this.#root, id), gone) ||
      await renamed(join(this.#root, draftName(id)), gone);
    if (!found) return;
    await Deno.remove(gone, { recursive: true });
    // Someone may have read it while it was removed.
    this.#manifests.delete(id);
  }

  /** Checks every file. @throws {WrennError} `snapshot_corrupt` naming the first that is not as it was. */
  async verify(snapshot: Snapshot): Promise<void> {
    const { state, memory } = snapshot.manifest;
    for (const file of [state, ...memory]) await this.#check(snapshot, file, Infinity);
    await this.verifyDisk(snapshot);
  }

  /** Checks the disk alone. @throws {WrennError} `snapshot_corrupt` */
  async verifyDisk(snapshot: Snapshot): Promise<void> {
    for (const file of snapshot.manifest.disk) {
      await this.#check(snapshot, file, digestedBytes(file.digested));
    }
  }

  /** Links the memory's files into a folder, under the same names. Files that are there already are left. */
  async attach(snapshot: Snapshot, folder: string): Promise<readonly MemoryFile[]> {
    for (const { file } of snapshot.manifest.memory) {
      try {
        await Deno.link(join(snapshot.dir, file), join(folder, file));
      } catch (error) {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw spaceError(error);
      }
    }
    return snapshot.manifest.memory;
  }

  /**
   * The same moment with short chains, as another snapshot. Checks every file first: merged into new ones with
   * digests of their own, damage would never be seen again.
   *
   * @param disks Whose layers the snapshot's disk has.
   * @throws {WrennError} `no_space`, `snapshot_corrupt`
   */
  async collapse(snapshot: Snapshot, id: SnapshotId, disks: LayerMerger): Promise<Snapshot> {
    await this.verify(snapshot);
    await using draft = await this.draft(id);
    return await draft.commit(await collapseInto(draft.dir, snapshot, disks));
  }

  async #check(
    { id, dir }: Snapshot,
    { file, bytes, digest }: { file: string; bytes: number; digest: string },
    limit: number,
  ): Promise<void> {
    const corrupt = (why: string, cause?: unknown) =>
      new WrennError("snapshot_corrupt", `Snapshot '${id}': file '${file}' ${why}`, { cause });
    const path = join(dir, file);
    const info = await Deno.stat(path).catch((cause: unknown) => {
      throw cause instanceof Deno.errors.NotFound ? corrupt("is missing", cause) : cause;
    });
    if (info.size !== bytes) throw corrupt(`has ${info.size} bytes instead of ${bytes}`);
    if (await this.#verified.digest(path, limit) !== digest) throw corrupt("was changed");
  }
}

function parse(id: SnapshotId, text: string): SnapshotManifest {
  const corrupt = (why: string, cause?: unknown) =>
    new WrennError("snapshot_corrupt", `Snapshot '${id}': file 'manifest.json' ${why}`, { cause });
  let manifest: SnapshotManifest;
  let digest: string;
  try {
    const json = JSON.parse(text);
    manifest = manifestSchema.parse(json);
    digest = manifestDigest(json);
  } catch (cause) {
    throw corrupt("cannot be read", cause);
  }
  if (manifest.digest !== digest) throw corrupt("was changed");
  if (manifest.id !== id) throw corrupt("is another snapshot's");
  return manifest;
}

/** False when there is nothing of that name. */
async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await Deno.rename(from, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
