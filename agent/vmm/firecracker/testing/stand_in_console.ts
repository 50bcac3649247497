/** Where the console of the stand-in's guest goes: Firecracker's standard output, or a file. */
import type { StandInFiles } from "./stand_in_files.ts";

/** Takes bytes until they are written. */
export type Output = (bytes: Uint8Array<ArrayBuffer>) => Promise<void>;

/** One console. */
export class StandInConsole implements Disposable {
  readonly #files: StandInFiles;
  readonly #stdout: Output;
  #file: Deno.FsFile | undefined;
  #isPipe = false;
  #busy = false;

  /** @param files What paths name. @param stdout What there is without a file; nothing by default. */
  constructor(files: StandInFiles, stdout: Output = () => Promise.resolve()) {
    this.#files = files;
    this.#stdout = stdout;
  }

  /** Writes to a file that is there from now on. @throws {StandInFault} */
  async useFile(path: string): Promise<void> {
    await this.#files.checkOpens(path, "output", "write");
    const host = await this.#files.hostPath(path);
    const isPipe = (await Deno.stat(host)).isFifo === true;
    // A pipe that is also open for reading opens without another reader.
    const file = await Deno.open(host, { read: isPipe, write: true, append: !isPipe });
    this[Symbol.dispose]();
    this.#file = file;
    this.#isPipe = isPipe;
  }

  /** Writes. What a full pipe does not take is lost. */
  async print(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const file = this.#file;
    if (!file) return await this.#stdout(bytes);
    if (this.#busy) return;
    this.#busy = true;
    const written = writeAll(file, bytes).finally(() => this.#busy = false);
    if (!this.#isPipe) return await written;
    // The pipe may be closed while it is full.
    written.catch(() => {});
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

/** Standard output; nothing when nobody reads it any more. */
export async function writeStdout(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    await writeAll(Deno.stdout, bytes);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

async function writeAll(
  file: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
