/**
 * `deno task images`: builds the guest kernel and the built-in templates into the data folder.
 *
 * ```
 * images build NAME|all   build what is not built yet (--fresh: with the packages of today)
 * images update NAME      refresh envd, init and Deno in an existing image
 * images list             what the data folder holds
 * ```
 *
 * `--data-dir DIR` (WRENN_DATA_DIR, /var/lib/wrenn), `--cache-dir DIR` (WRENN_CACHE_DIR, /var/cache/wrenn).
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureHostTools } from "./lib/host_tools.ts";
import { fail, say } from "./lib/shell.ts";
import {
  type BuildOptions,
  defaultCacheDir,
  defaultDataDir,
  ensureImages,
  readKernel,
  readManifest,
  templateNames,
  updateImage,
} from "./images/mod.ts";

const USAGE = "Usage: deno task images build NAME|all | update NAME | list" +
  " [--data-dir DIR] [--cache-dir DIR] [--fresh] [--envd FILE]";

function parse(args: string[]): { words: string[]; options: BuildOptions } {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      "data-dir": { type: "string" },
      "cache-dir": { type: "string" },
      "envd": { type: "string" },
      "fresh": { type: "boolean" },
    },
  });
  const options = {
    dataDir: values["data-dir"] ?? defaultDataDir(),
    cacheDir: values["cache-dir"] ?? defaultCacheDir(),
    fresh: values.fresh ?? false,
    progress: say,
    ...(values.envd ? { envdEntry: values.envd } : {}),
  };
  return { words: positionals, options };
}

async function build(name: string, options: BuildOptions): Promise<void> {
  await ensureHostTools();
  const started = performance.now();
  const names = name === "all" ? await templateNames() : [name];
  const { kernel, images } = await ensureImages({ ...options, names });
  say(`kernel   ${kernel.manifest.version}  ${outcome(kernel.changed)}`);
  for (const { manifest, changed } of images) {
    say(`${manifest.name.padEnd(8)} ${manifest.hash.slice(0, 12)}  ${outcome(changed)}`);
  }
  say(`${options.dataDir}: ready in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

async function update(name: string, options: BuildOptions): Promise<void> {
  await ensureHostTools();
  const started = performance.now();
  const { manifest, changed } = await updateImage(name, options);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`${manifest.name} ${manifest.hash.slice(0, 12)}  ${outcome(changed)} in ${seconds} s`);
}

async function list(dataDir: string): Promise<void> {
  const kernel = await readKernel(dataDir);
  say(kernel ? `kernel   ${kernel.version}  ${kernel.created_at}` : `No kernel in '${dataDir}'`);
  for (const name of await imageNames(dataDir)) {
    const manifest = await readManifest(dataDir, name);
    say(
      manifest
        ? `${name.padEnd(8)} ${manifest.hash.slice(0, 12)}  ${manifest.disk_mb} MiB  ` +
          `${manifest.created_at}  ${manifest.description}`
        : `${name.padEnd(8)} incomplete: build it again`,
    );
  }
}

async function imageNames(dataDir: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(join(dataDir, "images")));
    return entries.filter((e) => /^[^.].*\.json$/.test(e.name)).map((e) => e.name.slice(0, -5))
      .sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function outcome(changed: boolean): string {
  return changed ? "built" : "up to date";
}

try {
  const { words: [command, name, ...rest], options } = parse(Deno.args);
  if (rest.length > 0) fail(USAGE);
  if (command === "build" && name !== undefined) await build(name, options);
  else if (command === "update" && name !== undefined) await update(name, options);
  else if (command === "list" && name === undefined) await list(options.dataDir);
  else fail(USAGE);
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
