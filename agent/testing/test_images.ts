/** Kernel and templates for a test's data folder. */
import { join } from "node:path";
import { defaultCacheDir, ensureImages } from "../../tasks/images/mod.ts";

/**
 * Brings the guest kernel and the named templates into a data folder. `WRENN_TEST_DATA_DIR` names a folder that
 * has them ready, on the same file system: nothing is built then, and what is missing there is an error.
 */
export async function provideImages(dataDir: string, names: readonly string[]): Promise<void> {
  const ready = Deno.env.get("WRENN_TEST_DATA_DIR");
  if (!ready) {
    await ensureImages({ dataDir, cacheDir: defaultCacheDir(), names });
    return;
  }
  const images = names.flatMap((name) => [`${name}.ext4`, `${name}.json`]);
  const kernels = await Array.fromAsync(Deno.readDir(join(ready, "kernels")), ({ name }) => name);
  await linkAll(join(ready, "kernels"), join(dataDir, "kernels"), kernels);
  await linkAll(join(ready, "images"), join(dataDir, "images"), images);
}

async function linkAll(from: string, to: string, names: readonly string[]): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for (const name of names) await Deno.link(join(from, name), join(to, name));
}
