/**
 * What Wrenn brings into every image, below `/opt/wrenn`: init, envd as one bundled file, and Deno and two
 * helpers with a loader and libraries of their own, so that they run in an image without a C library.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { repoRoot } from "../lib/shell.ts";
import type { BuildCache } from "./cache.ts";
import { CODE_CACHE_RECIPE } from "./code_cache.ts";
import { contentKey } from "./core/content_key.ts";
import type { ImageFile } from "./core/debugfs.ts";
import { parseLdd } from "./core/ldd.ts";
import { exec } from "./exec.ts";
import { toolsEntry } from "./tools.ts";
import type { Progress } from "./types.ts";

/** Host programs that the guest needs, and the packages that have them. */
const HOST_PROGRAMS = [
  { name: "resize2fs", package: "e2fsprogs" },
  { name: "setpriv", package: "util-linux" },
] as const;
const HOST_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const LOADER = "ld-linux-x86-64.so.2";

/** Everything below `/opt/wrenn`. Disposing of it removes the bundle. */
export interface Runtime extends AsyncDisposable {
  /** The files, with host paths of their contents. */
  readonly files: readonly ImageFile[];
  /** SHA-256 over names, modes and contents, and the way envd's cache is made from them. */
  readonly hash: string;
  /** Version of the Deno in it. */
  readonly denoVersion: string;
}

/** Bundles envd and finds the other files. */
export async function assembleRuntime(
  cache: BuildCache,
  options: {
    readonly envdEntry: string | undefined;
    readonly fresh: boolean;
    readonly progress: Progress;
    readonly signal: AbortSignal | undefined;
  },
): Promise<Runtime> {
  const { signal } = options;
  const tools = await toolsEntry(cache, options);
  const images = join(repoRoot(), "images");
  const deno = await Deno.realPath(Deno.execPath());
  const programs = await Promise.all(HOST_PROGRAMS.map(async (program) => ({
    ...program,
    path: await findProgram(program.name, program.package),
  })));
  const libraries = await sharedObjects([deno, ...programs.map((p) => p.path)], signal);
  const work = await cache.temporary();
  try {
    const envd = join(work.path, "envd.js");
    await bundle(options.envdEntry ?? join(repoRoot(), "envd/main.ts"), envd, signal);
    const files: ImageFile[] = [
      { path: "init", source: join(images, "wrenn-init.sh"), mode: 0o755 },
      { path: "run-envd", source: join(images, "run-envd.sh"), mode: 0o644 },
      { path: "fstab", source: join(images, "fstab"), mode: 0o644 },
      { path: "envd.js", source: envd, mode: 0o644 },
      { path: "deno", source: deno, mode: 0o755 },
      { path: "bin/busybox", source: tools.busybox, mode: 0o755 },
      { path: "bin/catatonit", source: tools.catatonit, mode: 0o755 },
      ...programs.map(({ name, path }) => ({ path: `bin/${name}`, source: path, mode: 0o755 })),
      ...[...libraries].map(([name, path]) => ({
        path: `lib/${name}`,
        source: path,
        mode: name === LOADER ? 0o755 : 0o644,
      })),
    ];
    return {
      files,
      hash: await hashFiles(files),
      denoVersion: Deno.version.deno,
      [Symbol.asyncDispose]: () => work[Symbol.asyncDispose](),
    };
  } catch (error) {
    await work[Symbol.asyncDispose]();
    throw error;
  }
}

async function bundle(
  entry: string,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await exec(
    [Deno.execPath(), "bundle", "--quiet", "--platform", "deno", "--output", target, entry],
    { cwd: repoRoot(), signal },
  );
}

async function findProgram(name: string, pkg: string): Promise<string> {
  for (const folder of HOST_PATH) {
    try {
      return await Deno.realPath(join(folder, name));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`Cannot find the program '${name}': install the package '${pkg}'`);
}

/** Loader and libraries of several programs, by the names they are looked up with. */
async function sharedObjects(
  programs: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const program of programs) {
    const { stdout } = await exec(["ldd", program], { signal });
    const { loader, libraries } = parseLdd(stdout);
    all.set(LOADER, await Deno.realPath(loader));
    for (const [name, path] of libraries) all.set(name, await Deno.realPath(path));
  }
  return all;
}

async function hashFiles(files: readonly ImageFile[]): Promise<string> {
  const parts = await Promise.all(files.map(async (file) => {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(file.source)) hash.update(chunk);
    return [file.path, `${file.mode.toString(8)} ${hash.digest("hex")}`] as const;
  }));
  return contentKey({ ...Object.fromEntries(parts), cache: CODE_CACHE_RECIPE });
}
