/** A snapshot's files and content for tests, without a machine. */
import { join } from "node:path";
import { newSnapshotId, type SnapshotId } from "@wrenn/common";
import type { SnapshotContent, SnapshotDraft } from "../draft.ts";
import type { MemoryFile, Snapshot } from "../manifest.ts";
import type { SnapshotStore } from "../store.ts";
import { pageOf, writeModelDiff } from "./model.ts";

/** What a machine would leave: the names are the same in each snapshot. */
export const FILES = {
  state: "state",
  base: "memory-00000000000000aa.base",
  diff: "memory-00000000000000bb.diff",
  image: "base-00000000000000cc.ext4",
  layer: "layer-00000000000000dd.qcow2",
} as const;

/** Pages of the memory base. */
const BASE_PAGES = 16;

/** Writes all files into a folder. */
export async function writeFiles(folder: string): Promise<void> {
  await Deno.writeFile(join(folder, FILES.state), new Uint8Array(17_000).fill(1));
  const base = new Uint8Array(BASE_PAGES * 4096);
  base.set(pageOf(2), 4096);
  await Deno.writeFile(join(folder, FILES.base), base);
  await writeModelDiff(join(folder, FILES.diff), new Map([[1, 3], [2, 4], [9, 5]]));
  await Deno.writeFile(join(folder, FILES.image), new Uint8Array(100_000).fill(6));
  await Deno.writeFile(join(folder, FILES.layer), new Uint8Array(300_000).fill(7));
}

/** What a manifest says, over given memory files or those of {@linkcode writeFiles}. */
export async function contentIn(
  folder: string,
  memory?: readonly MemoryFile[],
): Promise<SnapshotContent> {
  const fileOf = async (kind: MemoryFile["kind"], file: string): Promise<MemoryFile> => {
    const bytes = (await Deno.stat(join(folder, file))).size;
    return { file, bytes, digest: "", kind, pages: kind === "base" ? BASE_PAGES : 3 };
  };
  return {
    kind: "sandbox",
    sandbox_id: "sb-00000001",
    parent: null,
    generation: 1,
    environment: {
      vmm: "qemu 7.2.22",
      accelerator: "tcg",
      cpu_model: "Nehalem",
      tsc_khz: 1_000_000,
      kernel_hash: "ab".repeat(32),
    },
    template: { name: "base", hash: "cd".repeat(32) },
    vcpus: 1,
    memory_mb: 256,
    disk_mb: 8,
    quiesced: true,
    token_id: "t-1",
    created_at: "2026-01-02T03:04:05.678Z",
    created_by: "agent 0.1.0 on host-0123abcd",
    state: FILES.state,
    memory: memory ?? [await fileOf("base", FILES.base), await fileOf("diff", FILES.diff)],
    disk: [FILES.image, FILES.layer],
  };
}

/** A draft with all of its files. */
export async function filledDraft(store: SnapshotStore, id?: SnapshotId): Promise<SnapshotDraft> {
  const draft = await store.draft(id ?? newSnapshotId());
  await writeFiles(draft.dir);
  return draft;
}

/** A committed snapshot. */
export async function makeSnapshot(store: SnapshotStore, id?: SnapshotId): Promise<Snapshot> {
  await using draft = await filledDraft(store, id);
  return await draft.commit(await contentIn(draft.dir));
}

/** A folder for a store, removed afterwards. */
export async function withRoot(
  work: (root: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-snapshots-" });
  try {
    await work(join(folder, "snapshots"), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Names in a folder, in order. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
}

let writes = 0;

/** Writes a file in place, with a time of change of its own however coarse the clock is. */
export async function rewrite(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await Deno.chmod(path, 0o600);
  await Deno.writeFile(path, bytes);
  const time = new Date(Date.now() + 3_600_000 * ++writes);
  await Deno.utime(path, time, time);
}
