/**
 * The memory of the guest behind the stand-in. It is QEMU's own, so that the file that a machine was restored from needs
 * no more rights than Firecracker's private mapping of it does. What changed is told by content: kernels without
 * soft-dirty bits tell nobody which pages a process wrote.
 */
import { hash } from "node:crypto";
import { PAGE_BYTES, type PageRun } from "../../../core/memory_pages.ts";
import type { GuestMemory } from "../../driver.ts";
import { type MemoryRegion, openMemory, writtenPages } from "../../qemu/guest_memory.ts";
import { StandInFault } from "./stand_in_fault.ts";

const CHUNK_PAGES = 1024;
const CHUNK_BYTES = CHUNK_PAGES * PAGE_BYTES;

/** The file that a machine was restored from. */
interface MemoryBase {
  readonly file: Deno.FsFile;
  readonly changedAt: number | undefined;
}

/** Memory of one guest, whose vCPUs stand still whenever it is used. */
export class EngineMemory implements Disposable {
  readonly #region: MemoryRegion;
  readonly #base: MemoryBase | undefined;
  /** Content of the pages that differed from the base when memory was last written. */
  #seen: ReadonlyMap<number, string> = new Map();

  /** @param region Where it is. @param base What it was filled from; all zero without. */
  private constructor(region: MemoryRegion, base: MemoryBase | undefined) {
    this.#region = region;
    this.#base = base;
  }

  /** The memory of a guest that boots. */
  static booted(region: MemoryRegion): EngineMemory {
    return new EngineMemory(region, undefined);
  }

  /** Fills the memory of a guest that continues. @param path File of the whole memory. */
  static async filled(region: MemoryRegion, path: string): Promise<EngineMemory> {
    const file = await Deno.open(path, { read: true });
    try {
      const { mtime } = await file.stat();
      using memory = await openMemory(region);
      for await (const { first, bytes } of chunks(file, region.bytes)) {
        for (const { first: page, count } of runsOf(bytes, (words) => words.some(isSet))) {
          const at = page * PAGE_BYTES;
          memory.write(first + page, bytes.subarray(at, at + count * PAGE_BYTES));
        }
      }
      return new EngineMemory(region, { file, changedAt: mtime?.getTime() });
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Writes it to a file of its size: all of it, or the pages whose content changed since the last time.
   *
   * @throws {StandInFault} When the file that the machine was restored from was written to since.
   */
  async write(file: Deno.FsFile, kind: "Full" | "Diff"): Promise<void> {
    await this.#checkBase();
    using memory = await openMemory(this.#region);
    const touched = touchedChunks(await writtenPages(this.#region));
    const seen = new Map<number, string>();
    const zero = new Uint8Array(CHUNK_BYTES);
    for (let first = 0; first < memory.pages; first += CHUNK_PAGES) {
      const pages = Math.min(CHUNK_PAGES, memory.pages - first);
      const has = touched.has(first / CHUNK_PAGES);
      if (!has && kind === "Diff") continue;
      const now = has ? readChunk(memory, first, pages) : zero.subarray(0, pages * PAGE_BYTES);
      const changed = has ? await this.#compare(first, now, seen) : [];
      const runs = kind === "Full" ? [{ first: 0, count: pages }] : changed;
      for (const run of runs) {
        const at = run.first * PAGE_BYTES;
        await file.seek(first * PAGE_BYTES + at, Deno.SeekMode.Start);
        await writeAll(file, now.subarray(at, at + run.count * PAGE_BYTES));
      }
    }
    await file.sync();
    this.#seen = seen;
  }

  /** Closes the file that it was filled from. */
  [Symbol.dispose](): void {
    this.#base?.file.close();
  }

  /** Runs of pages, counted from `first`, that changed since the last time; takes down what they are now. */
  async #compare(
    first: number,
    now: Uint8Array<ArrayBuffer>,
    seen: Map<number, string>,
  ): Promise<PageRun[]> {
    const base = new Uint8Array(now.length);
    if (this.#base) await readAt(this.#base.file, first * PAGE_BYTES, base);
    const baseWords = new BigUint64Array(base.buffer);
    return runsOf(now, (words, page) => {
      const offset = page * (PAGE_BYTES / 8);
      const differs = words.some((word, n) => word !== baseWords[offset + n]);
      const content = differs ? hash("sha1", words) : undefined;
      if (content !== undefined) seen.set(first + page, content);
      return content !== this.#seen.get(first + page);
    });
  }

  /** Firecracker's guest would see what is written to a file that it has mapped. */
  async #checkBase(): Promise<void> {
    if (!this.#base) return;
    const { mtime, size } = await this.#base.file.stat();
    if (mtime?.getTime() !== this.#base.changedAt || size !== this.#region.bytes) {
      throw new StandInFault("The file of the machine's memory was written to while it is mapped");
    }
  }
}

function isSet(word: bigint): boolean {
  return word !== 0n;
}

/** Runs of the pages of which something is true. */
function runsOf(
  bytes: Uint8Array<ArrayBuffer>,
  matches: (words: BigUint64Array<ArrayBuffer>, page: number) => boolean,
): PageRun[] {
  const runs: PageRun[] = [];
  let first = -1;
  const pages = bytes.length / PAGE_BYTES;
  for (let page = 0; page <= pages; page++) {
    const at = bytes.byteOffset + page * PAGE_BYTES;
    const is = page < pages &&
      matches(new BigUint64Array(bytes.buffer, at, PAGE_BYTES / 8), page);
    if (is && first < 0) first = page;
    if (!is && first >= 0) {
      runs.push({ first, count: page - first });
      first = -1;
    }
  }
  return runs;
}

function touchedChunks(runs: readonly PageRun[]): ReadonlySet<number> {
  const touched = new Set<number>();
  for (const { first, count } of runs) {
    const last = Math.floor((first + count - 1) / CHUNK_PAGES);
    for (let n = Math.floor(first / CHUNK_PAGES); n <= last; n++) touched.add(n);
  }
  return touched;
}

function readChunk(memory: GuestMemory, first: number, pages: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pages * PAGE_BYTES);
  memory.read(first, bytes);
  return bytes;
}

async function* chunks(
  file: Deno.FsFile,
  total: number,
): AsyncGenerator<{ first: number; bytes: Uint8Array<ArrayBuffer> }> {
  for (let at = 0; at < total; at += CHUNK_BYTES) {
    const bytes = new Uint8Array(Math.min(CHUNK_BYTES, total - at));
    await readAt(file, at, bytes);
    yield { first: at / PAGE_BYTES, bytes };
  }
}

async function readAt(
  file: Deno.FsFile,
  offset: number,
  into: Uint8Array<ArrayBuffer>,
): Promise<void> {
  await file.seek(offset, Deno.SeekMode.Start);
  for (let at = 0; at < into.length;) {
    const n = await file.read(into.subarray(at));
    if (n === null) throw new StandInFault("The file of the memory ends early");
    at += n;
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
