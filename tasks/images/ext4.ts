/** ext4 images made and changed without mounting them. */
import { join } from "node:path";
import {
  type ImageFile,
  isFolder,
  type Listed,
  listingFault,
  parseListing,
  writeScript,
} from "./core/debugfs.ts";
import { exec } from "./exec.ts";

const MIB = 1024 * 1024;
/** A quarter of the journal must hold the transaction that grows the file system: 16 MiB are too few. */
const JOURNAL_MB = 64;
const RESERVED_PERCENT = 1;

/** Makes a sparse ext4 image of a folder's content with its owners and modes. */
export async function makeExt4(
  tree: string,
  target: string,
  sizeMb: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  using file = await Deno.open(target, { create: true, write: true, truncate: true });
  await file.truncate(sizeMb * MIB);
  // `discard` on a sparse file marks the inode tables as zeroed: the guest has nothing to initialise.
  await exec(
    // deno-fmt-ignore
    ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "wrenn", "-m", String(RESERVED_PERCENT), "-J", `size=${JOURNAL_MB}`,
      "-E", "discard,lazy_journal_init=1", "-d", tree, target],
    { signal },
  );
}

/** Replaces everything in a folder of an image by the given files, and proves the result. */
export async function replaceFolder(
  image: string,
  folder: string,
  files: readonly ImageFile[],
  work: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const script = join(work, "debugfs.txt");
  const debugfs = async (commands: string): Promise<void> => {
    await Deno.writeTextFile(script, commands);
    const { stderr } = await exec(["debugfs", "-w", "-f", script, image], { signal });
    // debugfs ends with 0 whatever happens, but tells: also of a disk that was too small for a file's content.
    const faults = stderr.split("\n").filter((l) => l !== "" && !/^debugfs \d/.test(l));
    if (faults.length > 0) throw new Error(`Cannot write '${image}': ${faults.join("; ")}`);
  };
  const old = await list(image, folder, signal);
  const removal = [...old].reverse().map(([path, entry]) =>
    `${isFolder(entry) ? "rmdir" : "rm"} "${folder}/${path}"`
  );
  if (removal.length > 0) await debugfs(removal.join("\n") + "\n");
  await debugfs(writeScript(folder, files));
  const expected = await Promise.all(files.map(async (file) => ({
    ...file,
    size: (await Deno.stat(file.source)).size,
  })));
  const fault = listingFault(await list(image, folder, signal), expected);
  if (fault !== undefined) throw new Error(`Cannot write '${folder}' into '${image}': ${fault}`);
  await exec(["e2fsck", "-f", "-n", image], { signal });
}

/** Everything below a folder of an image, by relative path, folders before their content. */
async function list(
  image: string,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<Map<string, Listed>> {
  const all = new Map<string, Listed>();
  const visit = async (below: string): Promise<void> => {
    const path = below === "" ? folder : `${folder}/${below}`;
    const { stdout } = await exec(["debugfs", "-R", `ls -p "${path}"`, image], { signal });
    for (const entry of parseListing(stdout)) {
      const name = below === "" ? entry.name : `${below}/${entry.name}`;
      all.set(name, entry);
      if (isFolder(entry)) await visit(name);
    }
  };
  await visit("");
  return all;
}
