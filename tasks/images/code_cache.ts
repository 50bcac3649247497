/**
 * Deno's caches for envd (compiled bytecode, module analysis), filled on the host: they take a sixth off a cold
 * boot under emulation. Deno keys them by path, so envd runs where it will run in the guest: in a folder with
 * `/opt/wrenn` in it as its root, in namespaces of its own. A bundle that cannot start fails the build here.
 */
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { delay } from "@wrenn/common";
import type { BuildCache } from "./cache.ts";
import { contentKey } from "./core/content_key.ts";
import type { ImageFile } from "./core/debugfs.ts";
import { exec } from "./exec.ts";
import type { Runtime } from "./runtime.ts";
import type { Progress } from "./types.ts";

/** Folder below `/opt/wrenn` that is envd's `DENO_DIR`. */
export const CACHE_FOLDER = "cache";
const RUNTIME_FOLDER = "opt/wrenn";
/** Raised when the code below changes what it makes. */
export const CODE_CACHE_RECIPE = 1;
/** Deno notes what it compiles in one run and stores the rest in the next. */
const RUNS = 2;
const POLL_MS = 50;
const QUIET_POLLS = 8;
const MAX_POLLS = 400;
// deno-fmt-ignore
const DEVICES = [["null", "1", "3"], ["zero", "1", "5"], ["random", "1", "8"], ["urandom", "1", "9"]] as const;

/** The files of envd's cache, made or found. */
export async function codeCacheFiles(
  cache: BuildCache,
  runtime: Runtime,
  options: { readonly progress: Progress; readonly signal: AbortSignal | undefined },
): Promise<ImageFile[]> {
  const folder = await cache.entry({
    kind: "envd",
    key: contentKey({ recipe: CODE_CACHE_RECIPE, runtime: runtime.hash }),
    build: async (made) => {
      options.progress("Starting envd once to keep its compiled code");
      await using work = await cache.temporary();
      const root = join(work.path, "root");
      await fillRoot(root, runtime.files, options.signal);
      const filled = join(root, RUNTIME_FOLDER, CACHE_FOLDER);
      await Deno.mkdir(filled);
      for (let i = 0; i < RUNS; i++) await runEnvd(root, filled, options.signal);
      for await (const { name } of Deno.readDir(filled)) {
        if (!name.endsWith("_cache_v2")) continue;
        foldLog(join(filled, name));
        await Deno.copyFile(join(filled, name), join(made, name));
      }
    },
  });
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.map(({ name }) => ({
    source: join(folder, name),
    path: `${CACHE_FOLDER}/${name}`,
    mode: 0o644,
  }));
}

async function fillRoot(
  root: string,
  files: readonly ImageFile[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const folder of ["dev", "etc", "proc", "run", "tmp"]) {
    await Deno.mkdir(join(root, folder), { recursive: true });
  }
  await Deno.writeTextFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await Deno.writeTextFile(join(root, "etc/group"), "root:x:0:\n");
  for (const [name, major, minor] of DEVICES) {
    await exec(["mknod", "-m", "666", join(root, "dev", name), "c", major, minor], { signal });
  }
  for (const file of files) {
    const target = join(root, RUNTIME_FOLDER, file.path);
    await Deno.mkdir(dirname(target), { recursive: true });
    await Deno.copyFile(file.source, target);
    await Deno.chmod(target, file.mode);
  }
}

/** Runs envd with the guest's own script until its cache stops growing. */
async function runEnvd(
  root: string,
  filled: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  const bin = `/${RUNTIME_FOLDER}/bin/busybox`;
  const child = new Deno.Command("unshare", {
    // deno-fmt-ignore
    args: ["--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", `--root=${root}`, "--mount-proc",
      bin, "sh", `/${RUNTIME_FOLDER}/run-envd`, "exec"],
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let ended = false;
  const output = Promise.all([
    child.status.finally(() => (ended = true)),
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  let last = -1;
  let quiet = 0;
  for (let i = 0; i < MAX_POLLS && quiet < QUIET_POLLS && !ended; i++) {
    if (signal?.aborted) break;
    await delay(POLL_MS);
    const size = await folderSize(filled);
    quiet = size === last && size > 0 ? quiet + 1 : 0;
    last = size;
  }
  const failed = ended;
  if (!ended) child.kill("SIGKILL"); // the process ids of its namespace end with it
  const [status, stdout, stderr] = await output;
  signal?.throwIfAborted();
  if (failed) {
    throw new Error(
      `Cannot start envd for the image: exit ${status.code}: ${(stdout + stderr).slice(-2000)}`,
    );
  }
}

/** Puts the write-ahead log of a database into its main file. */
function foldLog(database: string): void {
  const db = new DatabaseSync(database);
  try {
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  } finally {
    db.close();
  }
}

async function folderSize(folder: string): Promise<number> {
  let size = 0;
  for await (const { name } of Deno.readDir(folder)) {
    const stat = await Deno.stat(join(folder, name)).catch(() => undefined); // SQLite removes its own files
    size += stat?.size ?? 0;
  }
  return size;
}
