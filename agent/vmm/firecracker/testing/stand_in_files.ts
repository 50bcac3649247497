/** What the stand-in asks of the host: files that calls name must be there and open as Firecracker opens them. */
import { resolve } from "node:path";
import { StandInFault } from "./stand_in_fault.ts";

/** What a file may be. */
export type FileKind = "file" | "disk" | "output";

/** The process's own working directory, whatever folders lead to it and whoever may enter them. */
export const HERE = "/proc/self/cwd";

/** The files of a process, as it sees them. */
export class StandInFiles {
  readonly #root: string;

  /** @param root What the process has as its root folder; empty for the host's. */
  constructor(root: string = "") {
    this.#root = root;
  }

  /**
   * Where a path of the process's is on the host. Below another root no symbolic link is followed: it could lead out,
   * where a real root folder would keep it in.
   *
   * @throws {StandInFault}
   */
  async hostPath(path: string): Promise<string> {
    if (this.#root === "") return path;
    let host = this.#root;
    for (const name of resolve("/", path).split("/").slice(1)) {
      host = `${host}/${name}`;
      const link = await Deno.lstat(host).then((stat) => stat.isSymlink, () => false);
      if (link) {
        throw new StandInFault(`The stand-in follows no symbolic link below a root: ${path}`);
      }
    }
    return host;
  }

  /**
   * Opens a file and closes it again.
   *
   * @param kind `file` is a regular one, `disk` also a block device, `output` also a pipe or a terminal.
   * @throws {StandInFault}
   */
  async checkOpens(path: string, kind: FileKind, access: "read" | "write"): Promise<void> {
    const host = await this.hostPath(path);
    const stat = await io(path, () => Deno.stat(host));
    const fits = stat.isFile || (kind === "disk" && stat.isBlockDevice) ||
      (kind === "output" && (stat.isFifo || stat.isCharDevice));
    if (!fits) throw new StandInFault(`${path}: Invalid argument (os error 22)`);
    // Opening a pipe waits for its reader.
    if (stat.isFifo) return;
    const options = access === "read" ? { read: true } : { read: kind === "disk", write: true };
    (await io(path, () => Deno.open(host, options))).close();
  }

  /** Checks that a file can be made or written anew at a path, and nothing else is there. @throws {StandInFault} */
  async checkCreates(path: string): Promise<void> {
    const host = await this.hostPath(path);
    (await io(path, () => Deno.open(host, { write: true, create: true, mode: 0o600 }))).close();
  }

  /** Checks that nothing is at a path and something could be. @throws {StandInFault} */
  async checkFree(path: string): Promise<void> {
    const host = await this.hostPath(path);
    await io(path, () => Deno.stat(host.replace(/[^/]*$/, "") || "."));
    const taken = await Deno.lstat(host).then(() => true, () => false);
    if (taken) throw new StandInFault(`Address in use (os error 98) ${path}`);
  }

  /**
   * Checks that a kernel is what Firecracker loads on x86: a 64-bit ELF file for this architecture with something to
   * load.
   *
   * @throws {StandInFault}
   */
  async checkKernel(path: string): Promise<void> {
    const host = await this.hostPath(path);
    using file = await io(path, () => Deno.open(host, { read: true }));
    await checkElf(file);
  }
}

/** The smallest file that {@linkcode checkKernel} accepts, for tests. No machine starts with it. */
export function fakeKernel(): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(64 + 56 + 16));
  view.setUint32(0, 0x7f454c46);
  view.setUint8(4, 2);
  view.setUint8(5, 1);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setBigUint64(64 + 8, 64n + 56n, true);
  view.setBigUint64(64 + 32, 16n, true);
  return new Uint8Array(view.buffer);
}

/** Names of the interfaces in the process's network namespace. */
export async function networkDevices(): Promise<ReadonlySet<string>> {
  const table = await Deno.readTextFile("/proc/net/dev");
  return new Set(table.split("\n").flatMap((line) => /^\s*([^:\s]+):/.exec(line)?.[1] ?? []));
}

/** A file's error in the words of Rust's library. */
async function io<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof Deno.errors.NotFound
      ? "No such file or directory (os error 2)"
      : error instanceof Deno.errors.PermissionDenied
      ? "Permission denied (os error 13)"
      : String(error);
    throw new StandInFault(`${code} ${path}`);
  }
}

async function checkElf(file: Deno.FsFile): Promise<void> {
  const bad = (why: string): StandInFault => new StandInFault(`Cannot load kernel: ${why}`);
  const head = new DataView(new ArrayBuffer(64));
  const { size } = await file.stat();
  await file.read(new Uint8Array(head.buffer));
  if (head.getUint32(0) !== 0x7f454c46 || head.getUint8(4) !== 2 || head.getUint8(5) !== 1) {
    throw bad("not a 64-bit ELF file");
  }
  if (head.getUint16(18, true) !== 62) throw bad("not for x86-64");
  const [at, each, count] = [
    Number(head.getBigUint64(32, true)),
    head.getUint16(54, true),
    head.getUint16(56, true),
  ];
  for (let n = 0; n < count; n++) {
    const segment = new DataView(new ArrayBuffer(56));
    await file.seek(at + n * each, Deno.SeekMode.Start);
    await file.read(new Uint8Array(segment.buffer));
    const [offset, bytes] = [8, 32].map((place) => Number(segment.getBigUint64(place, true)));
    const loads = segment.getUint32(0, true) === 1 && bytes !== undefined && bytes > 0;
    if (loads && offset !== undefined && offset + bytes <= size) return;
  }
  throw bad("nothing to load");
}
