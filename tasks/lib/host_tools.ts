/** The host programs that Wrenn needs, and their installation on Debian and Ubuntu. */
import { fail, has, run, say } from "./shell.ts";

/** Program and the Debian package that brings it. */
const TOOLS: readonly (readonly [program: string, debianPackage: string])[] = [
  ["qemu-system-x86_64", "qemu-system-x86"],
  ["qemu-img", "qemu-utils"],
  ["ip", "iproute2"],
  ["nft", "nftables"],
  ["nsenter", "util-linux"],
  ["mmdebstrap", "mmdebstrap"],
  ["mke2fs", "e2fsprogs"],
  ["cpio", "cpio"],
  ["lz4", "lz4"],
  ["xz", "xz-utils"],
  ["zstd", "zstd"],
];

/** Packages whose program is missing, in the table's order, each once. */
export async function missingPackages(
  tools: readonly (readonly [string, string])[] = TOOLS,
  present: (program: string) => Promise<boolean> = has,
): Promise<string[]> {
  const missing = new Set<string>();
  for (const [program, debianPackage] of tools) {
    if (!(await present(program))) missing.add(debianPackage);
  }
  return [...missing];
}

/** True for Debian, Ubuntu and what calls itself like them. */
export function isDebianLike(osRelease: string): boolean {
  const value = (key: string): string =>
    new RegExp(`^${key}=(.*)$`, "m").exec(osRelease)?.[1]?.replaceAll('"', "") ?? "";
  return [value("ID"), ...value("ID_LIKE").split(" ")].some((id) =>
    id === "debian" || id === "ubuntu"
  );
}

/**
 * Makes sure that every program is there: installs what is missing, saying so. Where it cannot, it ends the
 * task with the exact command to run.
 */
export async function ensureHostTools(): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    fail(`Wrenn needs Linux on x86_64: this is ${Deno.build.os} on ${Deno.build.arch}`);
  }
  if (Deno.uid() !== 0) {
    fail(
      "Wrenn makes network namespaces and virtual machines and must run as root.\n" +
        'Run it again as root, for example: sudo env PATH="$PATH" deno task dev',
    );
  }
  const missing = await missingPackages();
  if (missing.length === 0) return;
  const osRelease = await Deno.readTextFile("/etc/os-release").catch(() => "");
  if (!isDebianLike(osRelease) || !(await has("apt-get"))) {
    fail(
      `These programs are missing: ${missing.join(", ")} (Debian package names).\n` +
        "This distribution is not Debian or Ubuntu: install them with its package manager and run this again.",
    );
  }
  say(`Installing from the distribution: ${missing.join(" ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run(["apt-get", "update", "-q"], { env });
  await run(["apt-get", "install", "-y", "-q", "--no-install-recommends", ...missing], { env });
}
