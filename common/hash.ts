/** Digests of files. */

/** SHA-256 of a file's bytes, as hex. Reads the file into memory: for kernels, not for disks. */
export async function hashFile(path: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path))).toHex();
}
