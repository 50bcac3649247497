/** The guest kernel: the distribution's cloud kernel as an ELF file, and an initramfs with its virtio drivers. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { repoRoot } from "../lib/shell.ts";
import { type BuildCache, firstExisting } from "./cache.ts";
import { contentKey } from "./core/content_key.ts";
import { type Compression, findKernelPayload, isElf64 } from "./core/vmlinuz.ts";
import { exec } from "./exec.ts";
import { resolveMetaPackage, unpackPackages } from "./packages.ts";
import { readJson } from "./publish.ts";
import { TOOLS_KEY, toolsEntry } from "./tools.ts";
import type { KernelManifest, Progress } from "./types.ts";

const META_PACKAGE = "linux-image-cloud-amd64";
const PACKAGE_PREFIX = "linux-image-6";
/** Raised when the code below changes what it makes. */
const RECIPE = 1;
/** In the order of their dependencies. */
const MODULES = [
  "drivers/virtio/virtio_ring.ko",
  "drivers/virtio/virtio.ko",
  "drivers/virtio/virtio_mmio.ko",
  "net/core/failover.ko",
  "drivers/net/net_failover.ko",
  "drivers/net/virtio_net.ko",
  "drivers/block/virtio_blk.ko",
  "drivers/char/hw_random/virtio-rng.ko",
] as const;
/** What a kernel folder holds besides its manifest. */
export const KERNEL_FILES: readonly string[] = ["vmlinux", "initrd.img"];

const UNPACK: Readonly<Record<Compression, readonly [string, ...string[]]>> = {
  gzip: ["gzip", "-dc"],
  xz: ["xz", "-dc"],
  lz4: ["lz4", "-dc"],
  zstd: ["zstd", "-dc"],
  bzip2: ["bzip2", "-dc"],
  lzma: ["xz", "--format=lzma", "-dc"],
  lzop: ["lzop", "-dc"],
};

/** Shape of `kernel.json`. */
export const kernelSchema: z.ZodType<KernelManifest> = z.object({
  version: z.string(),
  package: z.string(),
  hash: z.string(),
  key: z.string(),
  created_at: z.string(),
});

/** A finished kernel in the cache. */
export interface BuiltKernel {
  /** Host paths of `vmlinux` and `initrd.img`. */
  readonly files: readonly { readonly name: string; readonly path: string }[];
  /** What it is. */
  readonly manifest: KernelManifest;
}

/** Key of the kernel that this checkout builds. */
export async function kernelKey(): Promise<string> {
  return contentKey({
    recipe: RECIPE,
    package: META_PACKAGE,
    modules: MODULES,
    init: await Deno.readTextFile(initPath()),
    tools: TOOLS_KEY,
  });
}

/** Builds kernel and initramfs, or finds them in the cache. */
export async function kernelEntry(
  cache: BuildCache,
  options: { fresh: boolean; progress: Progress; signal: AbortSignal | undefined },
): Promise<BuiltKernel> {
  const { progress, signal } = options;
  const key = await kernelKey();
  const tools = await toolsEntry(cache, options);
  const folder = await cache.entry({
    kind: "kernel",
    key,
    fresh: options.fresh,
    build: async (made) => {
      progress("Building the guest kernel from the distribution's package");
      await using work = await cache.temporary();
      const name = await resolveMetaPackage(META_PACKAGE, PACKAGE_PREFIX, progress, signal);
      const tree = join(work.path, "tree");
      await Deno.mkdir(tree);
      const [pkg] = await unpackPackages([name], work.path, tree, progress, signal);
      if (pkg === undefined) throw new Error(`Cannot download the package '${name}'`);
      const version = name.replace(/^linux-image-/, "");
      await extractVmlinux(join(tree, `boot/vmlinuz-${version}`), join(made, "vmlinux"), signal);
      const modules = join(
        await firstExisting([join(tree, "lib/modules"), join(tree, "usr/lib/modules")]),
        version,
        "kernel",
      );
      await writeInitramfs(work.path, modules, tools.busybox, join(made, "initrd.img"), signal);
      const manifest: KernelManifest = {
        version,
        package: `${name} ${pkg.version}`,
        hash: await hashFiles(KERNEL_FILES.map((file) => join(made, file))),
        key,
        created_at: new Date().toISOString(),
      };
      await Deno.writeTextFile(join(made, "kernel.json"), JSON.stringify(manifest));
      for (const file of KERNEL_FILES) await Deno.chmod(join(made, file), 0o444);
    },
  });
  const manifest = kernelSchema.parse(await readJson(join(folder, "kernel.json")));
  return { files: KERNEL_FILES.map((name) => ({ name, path: join(folder, name) })), manifest };
}

/** Unpacks the ELF kernel of a bzImage into a file. */
export async function extractVmlinux(
  vmlinuz: string,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const image = await Deno.readFile(vmlinuz);
  const payload = findKernelPayload(image);
  const stdin = image.slice(payload.start, payload.end);
  await exec(UNPACK[payload.compression], { stdin, stdoutFile: target, signal });
  using file = await Deno.open(target);
  const head = new Uint8Array(16);
  await file.read(head);
  if (!isElf64(head)) throw new Error(`Cannot unpack '${vmlinuz}': no ELF kernel in it`);
}

/** Writes the initramfs, uncompressed: QEMU's microvm has hung with compressed ones. */
async function writeInitramfs(
  work: string,
  modules: string,
  busybox: string,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const tree = join(work, "initramfs");
  for (const folder of ["bin", "dev", "root", "lib/modules"]) {
    await Deno.mkdir(join(tree, folder), { recursive: true });
  }
  await Deno.copyFile(busybox, join(tree, "bin/busybox"));
  await Deno.copyFile(initPath(), join(tree, "init"));
  for (const path of ["bin/busybox", "init"]) await Deno.chmod(join(tree, path), 0o755);
  const names = MODULES.map((path) => path.split("/").at(-1) ?? path);
  for (const [i, path] of MODULES.entries()) {
    const target = join(tree, "lib/modules", names[i] ?? path);
    const source = await firstExisting([join(modules, path), join(modules, `${path}.xz`)]);
    if (source.endsWith(".xz")) await exec(["xz", "-dc", source], { stdoutFile: target, signal });
    else await Deno.copyFile(source, target);
  }
  await Deno.writeTextFile(join(tree, "lib/modules/order"), names.join("\n") + "\n");
  await exec(
    ["sh", "-c", "find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible"],
    {
      cwd: tree,
      stdoutFile: target,
      signal,
    },
  );
}

function initPath(): string {
  return join(repoRoot(), "images/initramfs-init.sh");
}

async function hashFiles(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(await Deno.readFile(path));
  return hash.digest("hex");
}
