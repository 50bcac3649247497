/** Golden snapshots of this machine: agents of several checkouts and test runs share them, as they share images. */
import { join } from "node:path";
import { defaultCacheDir } from "../images/mod.ts";

/**
 * Environment of an agent whose data lies in `dataDir`. Empty where the cache is on another file system: the agent
 * then keeps golden snapshots of its own.
 */
export async function goldenEnv(dataDir: string): Promise<Record<string, string>> {
  const cache = defaultCacheDir();
  await Deno.mkdir(cache, { recursive: true });
  const [ours, data] = await Promise.all([Deno.stat(cache), Deno.stat(dataDir)]);
  return ours.dev === data.dev ? { WRENN_GOLDEN_DIR: join(cache, "golden") } : {};
}
