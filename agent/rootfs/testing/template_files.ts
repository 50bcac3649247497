/** Templates and folders for tests of stores. */
import { Buffer } from "node:buffer";

const MIB = 1024 * 1024;

/** Installs, or replaces, a template whose image is filled with one byte value. */
export async function installTemplate(
  dataDir: string,
  { name, sizeMb, fill }: { name: string; sizeMb: number; fill: number },
): Promise<void> {
  const images = `${dataDir}/images`;
  await Deno.mkdir(images, { recursive: true });
  await Deno.writeFile(`${images}/.new`, new Uint8Array(sizeMb * MIB).fill(fill));
  await Deno.rename(`${images}/.new`, `${images}/${name}.ext4`);
  const manifest = {
    name,
    disk_mb: sizeMb,
    hash: `${fill}`.padStart(64, "0"),
    created_at: "2026-01-02T03:04:05Z",
  };
  await Deno.writeTextFile(`${images}/${name}.json`, JSON.stringify(manifest));
}

/** Everything under a folder: path, mode, and the size of files. */
export async function listing(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    const { size, mode } = await Deno.lstat(path);
    if (entry.isDirectory) found.push(`${path} ${mode}`, ...await listing(path));
    else found.push(`${path} ${mode} ${size}`);
  }
  return found.sort();
}

/** SHA-256 of each named file of a folder. */
export async function digests(folder: string, names: readonly string[]): Promise<string[]> {
  const digest = async (name: string): Promise<string> => {
    const bytes = await Deno.readFile(`${folder}/${name}`);
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  };
  return await Promise.all(names.map(digest));
}

/** Compares in native code: loops over the bytes of a disk take minutes on an emulated host. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
