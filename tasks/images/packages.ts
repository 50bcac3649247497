/** Packages of the distribution, downloaded with the host's own apt and unpacked without installing them. */
import { join } from "node:path";
import { CommandError } from "@wrenn/common";
import { exec } from "./exec.ts";
import type { Progress } from "./types.ts";

/** An unpacked package. */
export interface UnpackedPackage {
  /** Package name. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
}

/** The package that a meta package stands for: its first dependency whose name has this prefix. */
export async function resolveMetaPackage(
  meta: string,
  prefix: string,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<string> {
  const find = async (): Promise<string | undefined> => {
    const { stdout } = await exec(["apt-cache", "depends", "--no-recommends", meta], {
      signal,
      accept: [100],
    });
    return parseDepends(stdout).find((name) => name.startsWith(prefix));
  };
  const known = await find();
  if (known !== undefined) return known;
  await refreshLists(progress, signal);
  const found = await find();
  if (found === undefined) {
    throw new Error(
      `Cannot find the package '${meta}': the package sources of this host do not have it`,
    );
  }
  return found;
}

/** Names after `Depends:` in the output of `apt-cache depends`. */
export function parseDepends(output: string): string[] {
  return [...output.matchAll(/^\s*\|?Depends: (\S+)$/gm)].map((match) => match[1] ?? "");
}

/** Downloads packages and unpacks them all into one folder. `work` is an empty folder. */
export async function unpackPackages(
  names: readonly string[],
  work: string,
  into: string,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<UnpackedPackage[]> {
  // The folder belongs to root alone, so that apt's own user could not write into it.
  const download = () =>
    exec(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", ...names], {
      cwd: work,
      signal,
    });
  try {
    await download();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    await refreshLists(progress, signal);
    await download();
  }
  const unpacked: UnpackedPackage[] = [];
  for await (const { name } of Deno.readDir(work)) {
    if (!name.endsWith(".deb")) continue;
    const deb = join(work, name);
    const { stdout } = await exec(
      ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", deb],
      {
        signal,
      },
    );
    const [pkg = "", version = ""] = stdout.split(" ");
    await exec(["dpkg-deb", "--extract", deb, into], { signal });
    unpacked.push({ name: pkg, version });
  }
  return unpacked.sort((a, b) => a.name < b.name ? -1 : 1);
}

async function refreshLists(progress: Progress, signal: AbortSignal | undefined): Promise<void> {
  progress("Refreshing the host's package lists (apt-get update)");
  await exec(["apt-get", "-q", "update"], { signal });
}
