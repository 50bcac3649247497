/** Static programs that go into the initramfs and into every image. */
import { join } from "node:path";
import { type BuildCache, firstExisting } from "./cache.ts";
import { contentKey } from "./core/content_key.ts";
import { unpackPackages } from "./packages.ts";
import type { Progress } from "./types.ts";

const PACKAGES = ["busybox-static", "catatonit"] as const;
/** Raised when the code below changes what it makes. */
const RECIPE = 1;

/** Key of the static programs' inputs. */
export const TOOLS_KEY: string = contentKey({ recipe: RECIPE, packages: PACKAGES });

/** Host paths of static programs. */
export interface Tools {
  /** Busybox with every applet that the distribution builds. */
  readonly busybox: string;
  /** A small init. */
  readonly catatonit: string;
}

/** Downloads the static programs, or finds them in the cache. */
export async function toolsEntry(
  cache: BuildCache,
  options: { fresh: boolean; progress: Progress; signal: AbortSignal | undefined },
): Promise<Tools> {
  const folder = await cache.entry({
    kind: "tools",
    key: TOOLS_KEY,
    fresh: options.fresh,
    build: async (made) => {
      options.progress(`Downloading ${PACKAGES.join(" and ")}`);
      await using work = await cache.temporary();
      const tree = join(work.path, "tree");
      await Deno.mkdir(tree);
      await unpackPackages(PACKAGES, work.path, tree, options.progress, options.signal);
      // Debian 13 has merged /bin into /usr/bin in its packages.
      const busybox = await firstExisting([
        join(tree, "bin/busybox"),
        join(tree, "usr/bin/busybox"),
      ]);
      await Deno.copyFile(busybox, join(made, "busybox"));
      await Deno.copyFile(join(tree, "usr/bin/catatonit"), join(made, "catatonit"));
      for (const name of ["busybox", "catatonit"]) await Deno.chmod(join(made, name), 0o755);
    },
  });
  return { busybox: join(folder, "busybox"), catatonit: join(folder, "catatonit") };
}
