/**
 * Digests that this agent has already worked out. Files of snapshots never change, so that a digest belongs to an inode
 * with its size and time of change of content; hard links share it.
 */
import { digestFile } from "./digest.ts";

/** Remembers digests. */
export class VerifiedFiles {
  readonly #digests = new Map<string, string>();

  /** The digest of a file's first `limit` bytes, worked out once. */
  async digest(path: string, limit: number = Infinity): Promise<string> {
    const key = await keyOf(path, limit);
    const known = this.#digests.get(key);
    if (known !== undefined) return known;
    const digest = await digestFile(path, limit);
    this.#digests.set(key, digest);
    return digest;
  }

  /** Takes a digest that was worked out while the file was written. */
  async note(path: string, digest: string, limit: number = Infinity): Promise<void> {
    this.#digests.set(await keyOf(path, limit), digest);
  }
}

async function keyOf(path: string, limit: number): Promise<string> {
  const { dev, ino, size, mtime } = await Deno.stat(path);
  return [dev, ino, size, mtime?.getTime(), limit].join(":");
}
