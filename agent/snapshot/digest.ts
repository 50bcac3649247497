/**
 * Digests of large files: SHA-256 over the SHA-256 of each piece of 4 MiB. Pieces are hashed beside each other and off
 * the event loop, and a file can be hashed while it is written.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { sha256, type SharedBytes } from "./hash_thread.ts";

/** Bytes of a piece. */
export const PIECE_BYTES: number = 4 << 20;

/** Pieces in memory at once. */
const PARALLEL = 4;
const ZEROES = new Uint8Array(new SharedArrayBuffer(PIECE_BYTES));
let zeroHash: Promise<Uint8Array> | undefined;

/** What becomes of each piece while it is hashed. */
export type TakePiece = (piece: SharedBytes) => Promise<void>;

/** Takes bytes in order and gives their digest. */
export class PieceDigest {
  readonly #take: TakePiece;
  /** Each there when its piece is hashed and taken. */
  readonly #hashes: Promise<Uint8Array>[] = [];
  #taken: Promise<void> = Promise.resolve();
  readonly #pieces = new PieceRing();
  #piece: SharedBytes = this.#pieces.at(0);
  #filled = 0;

  /** @param take Gets the pieces in order, one at a time. What it throws comes out of a later call. */
  constructor(take: TakePiece = () => Promise.resolve()) {
    this.#take = take;
  }

  /** Adds bytes. The caller may use its buffer again when the answer has come. */
  async add(bytes: Uint8Array): Promise<void> {
    await this.fill(
      bytes.length,
      (part, at) => part.set(bytes.subarray(at, at + part.length)),
    );
  }

  /** Adds bytes that `put` writes where they belong, part by part; `at` counts from the first of them. */
  async fill(
    length: number,
    put: (part: SharedBytes, at: number) => void,
  ): Promise<void> {
    for (let at = 0; at < length;) {
      const part = this.#piece.subarray(this.#filled, this.#filled + length - at);
      put(part, at);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === PIECE_BYTES) await this.#flush();
    }
  }

  /** `sha256:` and hex, after the last bytes. */
  async finish(): Promise<string> {
    if (this.#filled > 0) await this.#flush();
    const hashes = await Promise.all(this.#hashes);
    this.#pieces.free();
    return overHashes(hashes);
  }

  async #flush(): Promise<void> {
    const piece = this.#piece.subarray(0, this.#filled);
    this.#filled = 0;
    this.#taken = this.#taken.then(() => this.#take(piece));
    const both = Promise.all([hashPiece(piece), this.#taken]).then(([hash]) => hash);
    both.catch(() => {});
    this.#hashes.push(both);
    if (this.#hashes.length >= PARALLEL) await this.#hashes.at(-PARALLEL);
    this.#piece = this.#pieces.at(this.#hashes.length);
  }
}

/** Digest of a file, or of its first `limit` bytes. Holes of sparse files are fast. */
export async function digestFile(path: string, limit: number = Infinity): Promise<string> {
  using file = await Deno.open(path);
  const length = Math.min((await file.stat()).size, limit);
  const hashes: Promise<Uint8Array>[] = [];
  const pieces = new PieceRing();
  for (let at = 0; at < length; at += PIECE_BYTES) {
    const piece = pieces.at(hashes.length).subarray(0, length - at);
    for (let done = 0; done < piece.length;) {
      const n = await file.read(piece.subarray(done));
      if (n === null) throw new Error(`'${path}' became shorter while it was read`);
      done += n;
    }
    hashes.push(hashPiece(piece));
    if (hashes.length >= PARALLEL) await hashes.at(-PARALLEL);
  }
  const all = await Promise.all(hashes);
  pieces.free();
  return overHashes(all);
}

/** The plain SHA-256 of a text, `sha256:` and hex. */
export function digestOfText(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/** Buffers that nobody uses: a new one has to be cleared by the kernel. */
const spare: SharedBytes[] = [];

/** The buffers of pieces that are hashed at once, used in turn: a file of any length takes no more memory. */
class PieceRing {
  readonly #pieces: SharedBytes[] = [];

  /** The buffer of a piece by its number; that of `PARALLEL` pieces before has been hashed. */
  at(number: number): SharedBytes {
    return this.#pieces[number % PARALLEL] ??= spare.pop() ??
      new Uint8Array(new SharedArrayBuffer(PIECE_BYTES));
  }

  /** Nobody reads them any more. */
  free(): void {
    spare.push(...this.#pieces.splice(0, PARALLEL - spare.length));
  }
}

function hashPiece(piece: SharedBytes): Promise<Uint8Array> {
  if (piece.length === PIECE_BYTES && Buffer.compare(piece, ZEROES) === 0) {
    return zeroHash ??= sha256(ZEROES);
  }
  return sha256(piece);
}

function overHashes(hashes: readonly Uint8Array[]): string {
  const all = createHash("sha256");
  for (const hash of hashes) all.update(hash);
  return `sha256:${all.digest("hex")}`;
}
