/** The lab's root file system: Debian with the agent's programs, the kernel's modules, Deno and its packages. */
import { join } from "node:path";
import { walkFiles } from "../lib/walk.ts";
import { repoRoot } from "../lib/shell.ts";
import type { BuildCache } from "../images/cache.ts";
import { contentKey } from "../images/core/content_key.ts";
import type { DebianRecipe } from "../images/core/recipe.ts";
import { makeDebianTree } from "../images/debian_tree.ts";
import { exec } from "../images/exec.ts";
import { makeExt4 } from "../images/ext4.ts";
import { unpackPackages } from "../images/packages.ts";
import type { KernelManifest, Progress } from "../images/types.ts";

/** Raised when the code below changes what it makes. */
const RECIPE_VERSION = 2;
const RECIPE: DebianRecipe = {
  kind: "debian",
  name: "lab",
  description: "A host with KVM and device-mapper for Wrenn's tests",
  suite: "bookworm",
  disk_mb: 6144,
  // deno-fmt-ignore
  packages: [
    "bash", "ca-certificates", "cpio", "dmsetup", "e2fsprogs", "iproute2", "kmod", "lz4", "mmdebstrap", "nftables",
    "procps", "qemu-system-x86", "qemu-utils", "sudo", "util-linux", "xz-utils", "zstd",
  ],
};
/** Whose imports the lab has. */
const CODE = ["agent", "common", "proto", "tasks", "tests/host", "tests/lab"];
const IMAGE = "root.ext4";

/** What the root is built of beside the recipe. */
export interface RootOptions {
  readonly kernel: KernelManifest;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** Host path of the finished image, built when it is not there. */
export async function rootDrive(
  cache: BuildCache,
  { kernel, progress, signal }: RootOptions,
): Promise<string> {
  const init = join(repoRoot(), "tasks/lab/init.sh");
  const folder = await cache.entry({
    kind: "lab-root",
    key: contentKey({
      version: RECIPE_VERSION,
      recipe: JSON.stringify(RECIPE),
      kernel: kernel.package,
      deno: Deno.version.deno,
      packages: await Deno.readTextFile(join(repoRoot(), "deno.lock")),
      init: await Deno.readTextFile(init),
    }),
    build: async (made) => {
      await using work = await cache.temporary();
      const tree = join(work.path, "tree");
      const debian = join(work.path, "debian");
      for (const path of [tree, debian]) await Deno.mkdir(path);
      await makeDebianTree(tree, RECIPE, { progress, signal, work: debian });
      await addModules(tree, kernel, work.path, { progress, signal });
      progress("lab: adding Deno and the project's packages");
      await Deno.copyFile(Deno.execPath(), join(tree, "usr/local/bin/deno"));
      await addPackages(join(tree, "opt/deno"), signal);
      await Deno.copyFile(init, join(tree, "opt/wrenn/init"));
      for (const path of ["usr/local/bin/deno", "opt/wrenn/init"]) {
        await Deno.chmod(join(tree, path), 0o755);
      }
      progress("lab: making the ext4 image");
      await makeExt4(tree, join(made, IMAGE), RECIPE.disk_mb, signal);
    },
  });
  await cache.keep("lab-root", 1);
  return join(folder, IMAGE);
}

/** The modules of the kernel that the lab boots; the package is not installed, so that nothing builds an initramfs. */
async function addModules(
  tree: string,
  kernel: KernelManifest,
  work: string,
  { progress, signal }: { progress: Progress; signal: AbortSignal | undefined },
): Promise<void> {
  const [name = ""] = kernel.package.split(" ");
  const [debs, unpacked] = [join(work, "debs"), join(work, "unpacked")];
  for (const path of [debs, unpacked]) await Deno.mkdir(path);
  await unpackPackages([name], debs, unpacked, progress, signal);
  const target = join(tree, "usr/lib/modules");
  await Deno.mkdir(target, { recursive: true });
  await exec(["cp", "-a", join(unpacked, "lib/modules", kernel.version), target], { signal });
  await exec(["chroot", tree, "depmod", kernel.version], { signal });
}

/** Fills a `DENO_DIR` with what the code imports and Deno's bundler. What Deno makes of our own files is left out: they change. */
async function addPackages(target: string, signal: AbortSignal | undefined): Promise<void> {
  const files: string[] = [];
  for (const folder of CODE) {
    for await (const path of walkFiles(join(repoRoot(), folder))) {
      if (path.endsWith(".ts")) files.push(path);
    }
  }
  const deno = (...args: string[]): Promise<unknown> =>
    exec(["env", `DENO_DIR=${target}`, Deno.execPath(), ...args], { cwd: repoRoot(), signal });
  await deno("cache", "--frozen", "--quiet", ...files);
  // A first bundle brings the bundler, which stand-ins for other programs are made with.
  await deno("bundle", "--quiet", "-o", "/dev/null", join(repoRoot(), "common/clock.ts"));
  await Deno.remove(join(target, "gen"), { recursive: true });
}
