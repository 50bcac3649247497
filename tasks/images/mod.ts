/**
 * Guest images: building kernel and templates, refreshing envd in them, and putting them into a data folder.
 *
 * @module
 */
import { join } from "node:path";
import { BuildCache } from "./cache.ts";
import {
  imageEntry,
  imagePath,
  loadRecipe,
  manifestPath,
  readManifest,
  refreshImage,
  rootfsKey,
} from "./image.ts";
import { KERNEL_FILES, kernelEntry, kernelKey, kernelSchema } from "./kernel.ts";
import {
  publish,
  readPublished,
  settle,
  sweepTemporary,
  temporaryName,
  writeManifest,
} from "./publish.ts";
import { assembleRuntime, type Runtime } from "./runtime.ts";
import type {
  BuildOptions,
  BuildResult,
  ImageManifest,
  KernelManifest,
  Published,
} from "./types.ts";

export { templateNames } from "./image.ts";
export { readManifest } from "./image.ts";
export type * from "./types.ts";

/** Builds kept of every image besides the one in use: going back to another checkout costs nothing. */
const KEPT_IMAGES = 3;
const KEPT_BASES = 2;

/** Options of {@linkcode ensureImages}. */
export interface EnsureOptions extends BuildOptions {
  /** Templates wanted. */
  readonly names: readonly string[];
}

/** What {@linkcode ensureImages} found or made. */
export interface Ensured {
  /** The guest kernel. */
  readonly kernel: BuildResult<KernelManifest>;
  /** The templates, in the order asked for. */
  readonly images: readonly BuildResult<ImageManifest>[];
}

/** The cache folder: `WRENN_CACHE_DIR`, `/var/cache/wrenn` unless set. */
export function defaultCacheDir(): string {
  return Deno.env.get("WRENN_CACHE_DIR") || "/var/cache/wrenn";
}

/** The host agent's data folder: `WRENN_DATA_DIR`, `/var/lib/wrenn` unless set. */
export function defaultDataDir(): string {
  return Deno.env.get("WRENN_DATA_DIR") || "/var/lib/wrenn";
}

/**
 * Brings kernel and templates in the data folder up to this checkout, and does nothing that is not needed.
 * Several at once are safe: they take turns.
 */
export async function ensureImages(options: EnsureOptions): Promise<Ensured> {
  const recipes = await Promise.all(options.names.map(loadRecipe));
  using cache = await openCache(options);
  const kernel = await putKernel(cache, options);
  if (recipes.length === 0) return { kernel, images: [] };
  await using runtime = await assembleRuntime(cache, { ...common(options), fresh: false });
  const images: BuildResult<ImageManifest>[] = [];
  for (const { name } of recipes) images.push(await putImage(cache, name, runtime, options));
  return { kernel, images };
}

/** Builds the guest kernel and its initramfs into the data folder. */
export async function buildKernel(options: BuildOptions): Promise<BuildResult<KernelManifest>> {
  using cache = await openCache(options);
  return await putKernel(cache, options);
}

/** Reads the manifest of the kernel in a data folder; undefined when there is no whole kernel. */
export async function readKernel(dataDir: string): Promise<Published<KernelManifest> | undefined> {
  const folder = join(dataDir, "kernels");
  const files = KERNEL_FILES.map((name) => join(folder, name));
  return await readPublished(join(folder, "kernel.json"), kernelSchema, files);
}

/** Builds one template's image into the data folder. */
export async function buildImage(
  name: string,
  options: BuildOptions,
): Promise<BuildResult<ImageManifest>> {
  await loadRecipe(name);
  using cache = await openCache(options);
  await using runtime = await assembleRuntime(cache, { ...common(options), fresh: false });
  return await putImage(cache, name, runtime, options);
}

/**
 * Refreshes init, envd and Deno in an image of the data folder; its root tree stays as it is.
 *
 * @throws {Error} When there is no such image.
 */
export async function updateImage(
  name: string,
  options: BuildOptions,
): Promise<BuildResult<ImageManifest>> {
  const { dataDir } = options;
  using cache = await openCache(options);
  const current = await readManifest(dataDir, name);
  if (current === undefined) {
    throw new Error(`Cannot update '${name}': there is no such image in '${dataDir}'`);
  }
  await using runtime = await assembleRuntime(cache, { ...common(options), fresh: false });
  if (current.runtime_hash === runtime.hash) return { manifest: current, changed: false };
  const target = imagePath(dataDir, name);
  const copy = temporaryName(target);
  try {
    const manifest = await refreshImage(cache, target, copy, current, runtime, common(options));
    await settle(copy, target);
    const file = { target: manifestPath(dataDir, name), value: manifest };
    return { manifest: await writeManifest(file, [target]), changed: true };
  } catch (error) {
    await Deno.remove(copy).catch((cause) => {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    });
    throw error;
  }
}

async function putKernel(
  cache: BuildCache,
  options: BuildOptions,
): Promise<BuildResult<KernelManifest>> {
  const folder = join(options.dataDir, "kernels");
  const target = join(folder, "kernel.json");
  await sweepTemporary(folder);
  const current = await readKernel(options.dataDir);
  if (current?.key === await kernelKey() && !options.fresh) {
    return { manifest: current, changed: false };
  }
  const built = await kernelEntry(cache, common(options));
  await cache.keep("kernel", KEPT_BASES);
  const files = built.files.map(({ name, path }) => ({ source: path, target: join(folder, name) }));
  const manifest = await publish(files, { target, value: built.manifest });
  return { manifest, changed: true };
}

async function putImage(
  cache: BuildCache,
  name: string,
  runtime: Runtime,
  options: BuildOptions,
): Promise<BuildResult<ImageManifest>> {
  const recipe = await loadRecipe(name);
  const target = imagePath(options.dataDir, name);
  await sweepTemporary(join(options.dataDir, "images"));
  const current = await readManifest(options.dataDir, name);
  const isCurrent = current?.rootfs_key === rootfsKey(recipe) &&
    current.runtime_hash === runtime.hash;
  if (current && isCurrent && !options.fresh) return { manifest: current, changed: false };
  const built = await imageEntry(cache, recipe, runtime, common(options));
  await cache.keep("envd", KEPT_IMAGES);
  await cache.keep(`image-${name}`, KEPT_IMAGES);
  await cache.keep(`rootfs-${name}`, KEPT_BASES);
  const manifest = await publish([{ source: built.path, target }], {
    target: manifestPath(options.dataDir, name),
    value: built.manifest,
  });
  return { manifest, changed: true };
}

function openCache(options: BuildOptions): Promise<BuildCache> {
  if (Deno.uid() !== 0) {
    throw new Error("Cannot build images: files in them belong to root, so this needs root");
  }
  if (Deno.build.arch !== "x86_64") {
    throw new Error(`Cannot build images on '${Deno.build.arch}': only 'x86_64' is known`);
  }
  return BuildCache.open(
    join(options.cacheDir, "images"),
    options.progress ?? (() => {}),
    options.signal,
  );
}

function common(options: BuildOptions) {
  return {
    fresh: options.fresh ?? false,
    progress: options.progress ?? (() => {}),
    signal: options.signal,
    envdEntry: options.envdEntry,
  };
}
