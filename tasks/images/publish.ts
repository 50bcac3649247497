/** Putting finished files into the data folder: whole or not at all, never in place. */
import { exists } from "@wrenn/common";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { exec } from "./exec.ts";
import { flush } from "./cache.ts";
import type { FileTimes, Published } from "./types.ts";

const timesSchema = z.object({ file_times: z.record(z.string(), z.string()) });

/** One file of a build and where it goes. */
export interface Publication {
  /** Finished file in the cache. Shared by a hard link where that is possible. */
  readonly source: string;
  /** Path in the data folder. */
  readonly target: string;
}

/**
 * Puts files into the data folder in the given order, each by rename, and then the manifest with the files'
 * times: after a crash in between, {@linkcode readPublished} does not take the old manifest for the new files'.
 * Machines that use an older file keep it.
 */
export async function publish<Manifest extends object>(
  files: readonly Publication[],
  manifest: { readonly target: string; readonly value: Manifest },
): Promise<Published<Manifest>> {
  for (const { source, target } of files) {
    await Deno.mkdir(dirname(target), { recursive: true, mode: 0o755 });
    const temporary = temporaryName(target);
    try {
      await share(source, temporary);
      await settle(temporary, target);
    } catch (error) {
      await Deno.remove(temporary).catch(ignoreMissing);
      throw error;
    }
  }
  return await writeManifest(manifest, files.map((file) => file.target));
}

/** Writes a manifest for files that have their names already. */
export async function writeManifest<Manifest extends object>(
  manifest: { readonly target: string; readonly value: Manifest },
  files: readonly string[],
): Promise<Published<Manifest>> {
  const value = { ...manifest.value, file_times: await fileTimes(files) };
  await writeJson(manifest.target, value);
  return value;
}

/** Reads a manifest; undefined when there is none, or when it does not describe the files beside it. */
export async function readPublished<Manifest>(
  path: string,
  schema: z.ZodType<Manifest>,
  files: readonly string[],
): Promise<Published<Manifest> | undefined> {
  const json = await readJson(path);
  const manifest = schema.safeParse(json);
  const times = timesSchema.safeParse(json);
  if (!manifest.success || !times.success) return undefined;
  for (const file of files) if (!(await exists(file))) return undefined;
  const { file_times } = times.data;
  const actual = Object.entries(await fileTimes(files));
  return actual.every(([name, time]) => file_times[name] === time)
    ? { ...manifest.data, file_times }
    : undefined;
}

async function fileTimes(paths: readonly string[]): Promise<FileTimes> {
  const times: [string, string][] = [];
  for (const path of paths) {
    const { mtime } = await Deno.stat(path);
    times.push([basename(path), (mtime ?? new Date(0)).toISOString()]);
  }
  return Object.fromEntries(times);
}

/** Writes a JSON file, mode 0644, by rename. */
export async function writeJson(target: string, value: unknown): Promise<void> {
  await Deno.mkdir(dirname(target), { recursive: true, mode: 0o755 });
  const temporary = temporaryName(target);
  try {
    await Deno.writeTextFile(temporary, JSON.stringify(value, null, 2) + "\n", { mode: 0o644 });
    await settle(temporary, target);
  } catch (error) {
    await Deno.remove(temporary).catch(ignoreMissing);
    throw error;
  }
}

/** Reads a JSON file; undefined when there is none or it is torn. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Flushes a temporary file and gives it its name. */
export async function settle(temporary: string, target: string): Promise<void> {
  await flush(temporary);
  await Deno.rename(temporary, target);
  // Two hard links to one file: rename leaves both alone.
  if (await exists(temporary)) await Deno.remove(temporary);
  await flush(dirname(target));
}

/** Deletes what killed builders have left beside the images. The caller is the only builder. */
export async function sweepTemporary(folder: string): Promise<void> {
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (/^\..+\.tmp-[0-9a-f]{8}$/.test(name)) await Deno.remove(join(folder, name));
    }
  } catch (error) {
    ignoreMissing(error);
  }
}

/** A name beside `target` that no reader takes for a finished file. */
export function temporaryName(target: string): string {
  const random = crypto.getRandomValues(new Uint8Array(4)).toHex();
  return join(dirname(target), `.${target.split("/").at(-1)}.tmp-${random}`);
}

/** Hard link; a sparse copy where the folders lie on different file systems. */
async function share(source: string, target: string): Promise<void> {
  try {
    await Deno.link(source, target);
  } catch {
    await copySparse(source, target); // tells what is wrong, if something is
  }
}

/** Copies a file with its holes and its mode, by reference where the file system can. */
export async function copySparse(
  source: string,
  target: string,
  signal?: AbortSignal,
): Promise<void> {
  await exec(["cp", "--reflink=auto", "--sparse=always", "--preserve=mode", source, target], {
    signal,
  });
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
