/** The lab's data folder: guest kernel and templates, as the agent expects them under `/var/lib/wrenn`. */
import { join } from "node:path";
import type { BuildCache } from "../images/cache.ts";
import { contentKey } from "../images/core/content_key.ts";
import { makeExt4 } from "../images/ext4.ts";
import type { Ensured } from "../images/mod.ts";
import type { Progress } from "../images/types.ts";

const SIZE_MB = 16_384;
const IMAGE = "data.ext4";

/** Host path of the finished image of `dataDir`, built when its content has changed. */
export async function dataDrive(
  cache: BuildCache,
  dataDir: string,
  { kernel, images }: Ensured,
  { progress, signal }: { progress: Progress; signal?: AbortSignal | undefined },
): Promise<string> {
  const folder = await cache.entry({
    kind: "lab-data",
    key: contentKey({
      kernel: kernel.manifest.hash,
      images: images.map(({ manifest }) => `${manifest.name} ${manifest.hash}`),
    }),
    build: async (made) => {
      progress("lab: making the drive with kernel and templates");
      await makeExt4(dataDir, join(made, IMAGE), SIZE_MB, signal);
    },
  });
  await cache.keep("lab-data", 1);
  return join(folder, IMAGE);
}
