/**
 * Memory diffs: pages that differ from what lies below.
 *
 * ```
 * page data, 4 KiB each, runs back to back
 * index: per run u32 first page, u32 count
 * footer: "WRNDIFF1", u32 runs, u32 pages, u32 page size, u32 0
 * ```
 * Little endian throughout.
 */
import { countPages, PAGE_BYTES, type PageRun } from "../core/memory_pages.ts";
import { WrennError } from "@wrenn/common";
import { PieceDigest } from "./digest.ts";

const MAGIC = "WRNDIFF1";
const FOOTER_BYTES = 24;
const RUN_BYTES = 8;

/** A finished diff. */
export interface WrittenDiff {
  readonly bytes: number;
  readonly pages: number;
  readonly digest: string;
}

/** Writes one diff, in ascending order of pages. */
export class MemoryDiffWriter implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #path: string;
  /** Also gathers scattered pages into pieces that are worth a write. */
  readonly #pieces = new PieceDigest((piece) => this.#append(piece));
  #syncing: Promise<void> | undefined;
  #failure: unknown;
  readonly #runs: { first: number; count: number }[] = [];

  private constructor(file: Deno.FsFile, path: string) {
    this.#file = file;
    this.#path = path;
  }

  /** Makes a new file, mode 0600. */
  static async create(path: string): Promise<MemoryDiffWriter> {
    return new MemoryDiffWriter(
      await Deno.open(path, { write: true, createNew: true, mode: 0o600 }),
      path,
    );
  }

  /** Adds a whole number of pages, one at least, from `first` on. */
  async write(first: number, bytes: Uint8Array): Promise<void> {
    this.#note(first, bytes.length / PAGE_BYTES);
    await this.#pieces.add(bytes);
  }

  /** Adds pages that `read` puts where they belong, without a copy in between. */
  async fill(
    { first, count }: PageRun,
    read: (page: number, into: Uint8Array) => void,
  ): Promise<void> {
    this.#note(first, count);
    await this.#pieces.fill(count * PAGE_BYTES, (part, at) => read(first + at / PAGE_BYTES, part));
  }

  #note(first: number, count: number): void {
    const last = this.#runs.at(-1);
    const end = last === undefined ? 0 : last.first + last.count;
    if (count === 0 || !Number.isInteger(count) || first < end) {
      throw new RangeError(`Wrong pages for a diff: ${count} from page ${first} on`);
    }
    if (last !== undefined && first === end) last.count += count;
    else this.#runs.push({ first, count });
  }

  /** Writes index and footer. The caller syncs the file. */
  async finish(): Promise<WrittenDiff> {
    const pages = countPages(this.#runs);
    const tail = new Uint8Array(this.#runs.length * RUN_BYTES + FOOTER_BYTES);
    const view = new DataView(tail.buffer);
    this.#runs.forEach(({ first, count }, i) => {
      view.setUint32(i * RUN_BYTES, first, true);
      view.setUint32(i * RUN_BYTES + 4, count, true);
    });
    const at = this.#runs.length * RUN_BYTES;
    tail.set(new TextEncoder().encode(MAGIC), at);
    [this.#runs.length, pages, PAGE_BYTES, 0].forEach((value, i) =>
      view.setUint32(at + 8 + 4 * i, value, true)
    );
    await this.#pieces.add(tail);
    const digest = await this.#pieces.finish();
    await this.#syncing;
    if (this.#failure !== undefined) throw this.#failure;
    return { bytes: pages * PAGE_BYTES + tail.length, pages, digest };
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }

  async #append(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length;) at += await this.#file.write(piece.subarray(at));
    // The disk begins while the rest is still being read; one who waits for the end waits less.
    this.#syncing ??= this.#writeBack();
  }

  /** By a descriptor of its own: a file does one thing at a time. A failure is told once, and kept for the end. */
  async #writeBack(): Promise<void> {
    try {
      using file = await Deno.open(this.#path);
      await file.syncData();
    } catch (error) {
      this.#failure ??= error;
    }
    this.#syncing = undefined;
  }
}

/** An open diff. */
export class MemoryDiff implements Disposable {
  /** Its runs, ascending and without overlap; their data lies in this order. */
  readonly runs: readonly PageRun[];
  readonly #file: Deno.FsFile;
  readonly #pages: number;

  private constructor(file: Deno.FsFile, runs: readonly PageRun[], pages: number) {
    this.#file = file;
    this.runs = runs;
    this.#pages = pages;
  }

  /** Opens a diff. @throws {WrennError} `snapshot_corrupt` when it is not one. */
  static async open(path: string): Promise<MemoryDiff> {
    const file = await Deno.open(path);
    try {
      const { runs, pages } = await readIndex(file);
      return new MemoryDiff(file, runs, pages);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Fills `into`, a whole number of pages, with data from the page at `at`, counted in this diff's data. */
  async read(at: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    if (at < 0 || at + into.length / PAGE_BYTES > this.#pages) {
      throw new RangeError(`A diff of ${this.#pages} pages has none at ${at}`);
    }
    await readAt(this.#file, at * PAGE_BYTES, into);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

async function readIndex(file: Deno.FsFile): Promise<{ runs: PageRun[]; pages: number }> {
  const { size } = await file.stat();
  if (size < FOOTER_BYTES) throw corrupt("is too short");
  const footer = new Uint8Array(FOOTER_BYTES);
  await readAt(file, size - FOOTER_BYTES, footer);
  const view = new DataView(footer.buffer);
  const [count, pages, pageBytes] = [8, 12, 16].map((at) => view.getUint32(at, true));
  if (new TextDecoder().decode(footer.subarray(0, 8)) !== MAGIC) throw corrupt("has no footer");
  if (count === undefined || pages === undefined || pageBytes !== PAGE_BYTES) {
    throw corrupt("has pages of another size");
  }
  if (pages * PAGE_BYTES + count * RUN_BYTES + FOOTER_BYTES !== size) {
    throw corrupt("has another length than its index says");
  }
  const index = new Uint8Array(count * RUN_BYTES);
  await readAt(file, pages * PAGE_BYTES, index);
  const words = new DataView(index.buffer);
  const runs: PageRun[] = [];
  let [end, total] = [0, 0];
  for (let i = 0; i < count; i++) {
    const first = words.getUint32(i * RUN_BYTES, true);
    const length = words.getUint32(i * RUN_BYTES + 4, true);
    if (length === 0 || first < end) throw corrupt("has an index out of order");
    runs.push({ first, count: length });
    end = first + length;
    total += length;
  }
  if (total !== pages) throw corrupt("has another number of pages than its index says");
  return { runs, pages };
}

async function readAt(
  file: Deno.FsFile,
  at: number,
  into: Uint8Array<ArrayBuffer>,
): Promise<void> {
  await file.seek(at, Deno.SeekMode.Start);
  for (let done = 0; done < into.length;) {
    const n = await file.read(into.subarray(done));
    if (n === null) throw corrupt("ends early");
    done += n;
  }
}

function corrupt(why: string): WrennError {
  return new WrennError("snapshot_corrupt", `A memory diff of the snapshot ${why}`);
}
