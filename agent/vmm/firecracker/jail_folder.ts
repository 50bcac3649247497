/**
 * The folder of one Firecracker process. What is below `root/` is its jail, where its uid may do as it likes; beside
 * it lie root's own names of the files that both sides use. Nothing below `root/` is opened by name once the guest
 * has run: a process that was taken over can put links there.
 *
 * ```
 * {chroots}/{program}/{vm id}/          root's
 *   base written saved metrics          names of files that the jail has, too
 *   kvm tun                             device nodes, for a start without the jailer
 *   root/run/wrenn-vm/                  the machine's uid's: core/firecracker_jail.ts
 * ```
 */
import { join } from "node:path";
import { JAILED, VM_FOLDER } from "../../core/firecracker_jail.ts";
import { VMM_GROUP } from "../../core/vmm_ids.ts";
import type { BlockDevice } from "../../rootfs/store.ts";
import type { MachineSpec } from "../driver.ts";
import { makeSparse, removeFile } from "../run_files.ts";
import { copySparse } from "./memory_files.ts";
import { makeNode } from "./libc_files.ts";

/** One folder. */
export class JailFolder {
  /** Its path, root's. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the folder of a process that is to be started. On failure nothing is left.
   *
   * @param chroots Folder of the folders of one run root. @param program Name of Firecracker's file.
   * @throws {Error} Also when it is there already.
   */
  static async make(chroots: string, program: string, spec: MachineSpec): Promise<JailFolder> {
    const parent = join(chroots, program);
    await Deno.mkdir(parent, { recursive: true, mode: 0o700 });
    const jail = new JailFolder(join(parent, spec.vmId));
    await Deno.mkdir(jail.path, { mode: 0o700 });
    try {
      // The folders that the jailer makes are what it wants them to be afterwards.
      let folder = join(jail.path, "root");
      await Deno.mkdir(folder, { mode: 0o700 });
      for (const name of `${VM_FOLDER}${spec.runDir}`.split("/").slice(1)) {
        await Deno.chown(folder, spec.uid, VMM_GROUP);
        folder = join(folder, name);
        await Deno.mkdir(folder, { mode: 0o700 });
      }
      await Deno.chown(folder, spec.uid, VMM_GROUP);
    } catch (error) {
      await jail.remove();
      throw error;
    }
    return jail;
  }

  /** The folder of a machine, whatever its program was called; undefined when there is none. */
  static async find(chroots: string, vmId: string): Promise<JailFolder | undefined> {
    return (await JailFolder.all(chroots)).find(({ path }) => path.endsWith(`/${vmId}`));
  }

  /** Every folder of a run root. */
  static async all(chroots: string): Promise<JailFolder[]> {
    const found: JailFolder[] = [];
    for (const program of await names(chroots)) {
      for (const id of await names(join(chroots, program))) {
        found.push(new JailFolder(join(chroots, program, id)));
      }
    }
    return found;
  }

  /** Id of the machine. */
  get vmId(): string {
    return this.path.slice(this.path.lastIndexOf("/") + 1);
  }

  /** Path on the host of a path inside the jail. */
  inside(path: string): string {
    return join(this.path, "root", path);
  }

  /** Root's own name of a file. */
  own(name: "base" | "written" | "saved" | "metrics" | "kvm" | "tun"): string {
    return join(this.path, name);
  }

  /** Gives the machine a file that everybody may read: a kernel. */
  async lend(path: string, inside: string): Promise<void> {
    const target = this.inside(inside);
    try {
      await Deno.link(path, target);
    } catch (error) {
      if (!isOtherDevice(error)) throw error;
      await Deno.copyFile(path, target);
    }
    const { mode } = await Deno.stat(target);
    if (((mode ?? 0) & 0o004) === 0) throw new Error(`Other users cannot read '${path}'`);
  }

  /** Gives the machine its root disk, and its uid the right to it. */
  async giveDisk({ path }: BlockDevice, uid: number): Promise<void> {
    const target = this.inside(JAILED.disk);
    const { isBlockDevice, isFile, rdev } = await Deno.stat(path);
    // The device keeps its number when its table, or its name on the host, changes.
    if (isBlockDevice) makeNode(target, "block", rdev ?? 0);
    else if (isFile) await Deno.link(path, target);
    else throw new Error(`The disk '${path}' is neither a file nor a block device`);
    await Deno.chown(target, uid, VMM_GROUP);
    await Deno.chmod(target, 0o600);
  }

  /** Makes an empty file, or with a size a file of holes, that the machine writes. */
  async makeOutput(name: "written" | "saved", uid: number, bytes: number = 0): Promise<void> {
    await makeSparse(this.own(name), bytes);
    await this.#share(name, uid);
  }

  /** Makes the pipe for figures. */
  async makeMetrics(uid: number): Promise<void> {
    makeNode(this.own("metrics"), "pipe");
    await this.#share("metrics", uid);
  }

  /** Makes the machine's memory file, which is there already, its own to write until {@linkcode sealMemory}. */
  async giveMemory(path: string, uid: number): Promise<void> {
    await Deno.link(path, this.own("base"));
    await Deno.link(path, this.inside(JAILED.memory));
    await this.unsealMemory(uid);
  }

  /** Lets the machine write its memory file. */
  async unsealMemory(uid: number): Promise<void> {
    await Deno.chown(this.own("base"), uid, VMM_GROUP);
    await Deno.chmod(this.own("base"), 0o600);
  }

  /** Makes a memory file one that machines share: root's, and nobody writes it. */
  async sealMemory(): Promise<void> {
    await Deno.chown(this.own("base"), 0, VMM_GROUP);
    await Deno.chmod(this.own("base"), 0o440);
  }

  /** Lends the machine the memory that it is restored from. */
  async lendMemory(base: string): Promise<void> {
    await Deno.link(base, this.own("base"));
    const { uid, gid, mode } = await Deno.stat(base);
    if (uid !== 0 || gid !== VMM_GROUP || ((mode ?? 0) & 0o777) !== 0o440) await this.sealMemory();
    await Deno.link(base, this.inside(JAILED.memory));
  }

  /** Gives the machine a copy of its base, and answers the copy's path, which is good until the guest runs. */
  async copyMemory(base: string, uid: number): Promise<string> {
    await Deno.link(base, this.own("base"));
    const copy = this.inside(JAILED.memory);
    await copySparse(base, copy);
    await Deno.chown(copy, uid, VMM_GROUP);
    await Deno.chmod(copy, 0o600);
    return copy;
  }

  /** Gives the machine a copy of the state that it loads. */
  async giveState(path: string, uid: number): Promise<void> {
    const target = this.inside(JAILED.state);
    await Deno.copyFile(path, target);
    await Deno.chown(target, uid, VMM_GROUP);
    await Deno.chmod(target, 0o400);
  }

  /** Makes nodes for the devices that Firecracker opens, where the host has them: pairs of node and device. */
  async makeDevices(uid: number): Promise<[node: string, device: string][]> {
    const nodes: [string, string][] = [];
    for (const [name, device] of [["kvm", "/dev/kvm"], ["tun", "/dev/net/tun"]] as const) {
      const { rdev } = await Deno.stat(device);
      makeNode(this.own(name), "character", rdev ?? 0);
      await Deno.chown(this.own(name), uid, VMM_GROUP);
      nodes.push([this.own(name), device]);
    }
    return nodes;
  }

  /** Removes what was only needed to load. Before the guest runs. */
  async dropLoaded(): Promise<void> {
    await removeFile(this.inside(JAILED.state));
    await removeFile(this.inside(JAILED.memory));
  }

  /** Removes everything. The process has ended. Idempotent. */
  async remove(): Promise<void> {
    try {
      await Deno.remove(this.path, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async #share(name: "written" | "saved" | "metrics", uid: number): Promise<void> {
    await Deno.chown(this.own(name), uid, VMM_GROUP);
    await Deno.link(this.own(name), this.inside(JAILED[name]));
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function isOtherDevice(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EXDEV";
}
