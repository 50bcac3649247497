/** Images of templates: a root tree as ext4, and what Wrenn brings written into it. */
import { join } from "node:path";
import { z } from "zod";
import { repoRoot } from "../lib/shell.ts";
import { makeBusyboxTree } from "./busybox_tree.ts";
import type { BuildCache } from "./cache.ts";
import { codeCacheFiles } from "./code_cache.ts";
import { contentKey } from "./core/content_key.ts";
import { parseRecipe, type Recipe } from "./core/recipe.ts";
import { makeDebianTree } from "./debian_tree.ts";
import { makeExt4, replaceFolder } from "./ext4.ts";
import { copySparse, readJson, readPublished } from "./publish.ts";
import type { Runtime } from "./runtime.ts";
import { TOOLS_KEY, toolsEntry } from "./tools.ts";
import type { ImageManifest, Progress, Published } from "./types.ts";

/** Raised when the code that makes root trees changes what it makes. */
const RECIPE = 2;
const RUNTIME_FOLDER = "/opt/wrenn";
const DISK = "disk.ext4";

const rootfsSchema = z.object({ id: z.string() });
const manifestSchema: z.ZodType<ImageManifest> = z.object({
  name: z.string(),
  description: z.string(),
  disk_mb: z.number(),
  hash: z.string(),
  rootfs_key: z.string(),
  rootfs_id: z.string(),
  runtime_hash: z.string(),
  deno_version: z.string(),
  created_at: z.string(),
});

/** How to build. */
export interface ImageBuildOptions {
  /** Builds again although a build with the same inputs is at hand. */
  readonly fresh: boolean;
  /** Told about every longer step. */
  readonly progress: Progress;
  /** Ends the programs that are running. */
  readonly signal: AbortSignal | undefined;
}

/** A finished image in the cache. */
export interface BuiltImage {
  /** Host path of the ext4 image. */
  readonly path: string;
  /** What it is. */
  readonly manifest: ImageManifest;
}

/**
 * Reads the recipe of a built-in template.
 *
 * @throws {Error} When there is no such template, with the names of those there are.
 */
export async function loadRecipe(name: string): Promise<Recipe> {
  const names = await templateNames();
  if (!names.includes(name)) {
    throw new Error(`Cannot find the template '${name}': there are '${names.join("', '")}'`);
  }
  const file = join(repoRoot(), "images", name, "template.json");
  const recipe = parseRecipe(`images/${name}/template.json`, await Deno.readTextFile(file));
  if (recipe.name !== name) throw new Error(`Cannot use '${file}': its name is '${recipe.name}'`);
  return recipe;
}

/** Names of the built-in templates. */
export async function templateNames(): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(join(repoRoot(), "images")));
  return entries.filter((e) => e.isDirectory).map((e) => e.name).sort();
}

/** Key of a template's root tree. */
export function rootfsKey(recipe: Recipe): string {
  return contentKey({ recipe: RECIPE, template: JSON.stringify(recipe), tools: TOOLS_KEY });
}

/** Builds an image, or finds it in the cache. */
export async function imageEntry(
  cache: BuildCache,
  recipe: Recipe,
  runtime: Runtime,
  options: ImageBuildOptions,
): Promise<BuiltImage> {
  const rootfs = await rootfsEntry(cache, recipe, options);
  const hash = imageHash(rootfs.id, runtime.hash);
  const folder = await cache.entry({
    kind: `image-${recipe.name}`,
    key: hash,
    build: async (made) => {
      options.progress(`${recipe.name}: writing envd into the image`);
      await using work = await cache.temporary();
      const path = join(made, DISK);
      await copySparse(rootfs.path, path, options.signal);
      const files = [...runtime.files, ...await codeCacheFiles(cache, runtime, options)];
      await replaceFolder(path, RUNTIME_FOLDER, files, work.path, options.signal);
      await Deno.chmod(path, 0o444);
      const manifest: ImageManifest = {
        name: recipe.name,
        description: recipe.description,
        disk_mb: recipe.disk_mb,
        hash,
        rootfs_key: rootfsKey(recipe),
        rootfs_id: rootfs.id,
        runtime_hash: runtime.hash,
        deno_version: runtime.denoVersion,
        created_at: new Date().toISOString(),
      };
      await Deno.writeTextFile(join(made, "manifest.json"), JSON.stringify(manifest));
    },
  });
  const manifest = manifestSchema.parse(await readJson(join(folder, "manifest.json")));
  return { path: join(folder, DISK), manifest };
}

/** Writes a new runtime into a copy of an image. */
export async function refreshImage(
  cache: BuildCache,
  image: string,
  target: string,
  manifest: ImageManifest,
  runtime: Runtime,
  options: ImageBuildOptions,
): Promise<ImageManifest> {
  const files = [...runtime.files, ...await codeCacheFiles(cache, runtime, options)];
  options.progress(`${manifest.name}: writing envd into a copy of the image`);
  await using work = await cache.temporary();
  await copySparse(image, target, options.signal);
  await Deno.chmod(target, 0o644);
  await replaceFolder(target, RUNTIME_FOLDER, files, work.path, options.signal);
  await Deno.chmod(target, 0o444);
  return {
    ...manifest,
    hash: imageHash(manifest.rootfs_id, runtime.hash),
    runtime_hash: runtime.hash,
    deno_version: runtime.denoVersion,
    created_at: new Date().toISOString(),
  };
}

/** Reads the manifest of an image in a data folder; undefined when there is no whole image. */
export async function readManifest(
  dataDir: string,
  name: string,
): Promise<Published<ImageManifest> | undefined> {
  const path = imagePath(dataDir, name);
  return await readPublished(manifestPath(dataDir, name), manifestSchema, [path]);
}

/** Path of an image in a data folder. */
export function imagePath(dataDir: string, name: string): string {
  return join(dataDir, "images", `${name}.ext4`);
}

/** Path of an image's manifest in a data folder. */
export function manifestPath(dataDir: string, name: string): string {
  return join(dataDir, "images", `${name}.json`);
}

async function rootfsEntry(
  cache: BuildCache,
  recipe: Recipe,
  options: ImageBuildOptions,
): Promise<{ id: string; path: string }> {
  const { progress, signal } = options;
  const tools = await toolsEntry(cache, { ...options, fresh: false });
  const key = rootfsKey(recipe);
  const folder = await cache.entry({
    kind: `rootfs-${recipe.name}`,
    key,
    fresh: options.fresh,
    build: async (made) => {
      progress(`${recipe.name}: building the root tree`);
      await using work = await cache.temporary();
      const tree = join(work.path, "tree");
      await Deno.mkdir(tree, { mode: 0o755 });
      if (recipe.kind === "busybox") await makeBusyboxTree(tree, tools.busybox, signal);
      else await makeDebianTree(tree, recipe, { progress, signal, work: work.path });
      progress(`${recipe.name}: making the ext4 image`);
      await makeExt4(tree, join(made, DISK), recipe.disk_mb, signal);
      await Deno.chmod(join(made, DISK), 0o444);
      const id = contentKey({ key, built: new Date().toISOString(), nonce: crypto.randomUUID() });
      await Deno.writeTextFile(join(made, "rootfs.json"), JSON.stringify({ id }));
    },
  });
  const { id } = rootfsSchema.parse(await readJson(join(folder, "rootfs.json")));
  return { id, path: join(folder, DISK) };
}

function imageHash(rootfsId: string, runtimeHash: string): string {
  return contentKey({ rootfs: rootfsId, runtime: runtimeHash });
}
