/** A host for tests of the driver with the stand-in that has no guest: files, a namespace with a TAP, no images. */
import { CleanupStack, newExecutionId, runCommand } from "@wrenn/common";
import { planSlot } from "../../../core/slot_plan.ts";
import type { BootSpec, MachineSpec, RestoreSpec } from "../../driver.ts";
import type { FirecrackerDriverOptions } from "../driver.ts";
import { installStandIn, installStandInJailer } from "./stand_in_executable.ts";
import { mountPointAsItIs } from "./mount_point.ts";
import { fakeKernel } from "./stand_in_files.ts";

/** A slot's index that no other test uses. */
const SLOT = 61990;
const MEMORY_MB = 128;

/** One host. Needs root. */
export class BareHost implements AsyncDisposable {
  /** Folder of the run folders. */
  readonly runRoot: string;
  /** The driver's data folder. */
  readonly dataDir: string;
  readonly #folder: string;
  readonly #firecracker: string;
  readonly #jailer: string;
  readonly #namespace: string;
  readonly #undo: CleanupStack;

  private constructor(folder: string, namespace: string, undo: CleanupStack) {
    this.#folder = folder;
    this.#firecracker = `${folder}/bin/firecracker`;
    this.#jailer = `${folder}/bin/jailer`;
    this.#namespace = namespace;
    this.#undo = undo;
    this.runRoot = `${folder}/run`;
    this.dataDir = `${folder}/data`;
  }

  /** Makes it. */
  static async open(): Promise<BareHost> {
    const undo = new CleanupStack();
    try {
      undo.add(await mountPointAsItIs(), "mount point");
      const folder = await Deno.makeTempDir({ prefix: "wrenn-fc-" });
      undo.add(() => Deno.remove(folder, { recursive: true }), "folder");
      // The machine's user runs the stand-in.
      await Deno.chmod(folder, 0o755);
      for (const name of ["run", "data"]) await Deno.mkdir(`${folder}/${name}`, { mode: 0o700 });
      await Deno.mkdir(`${folder}/bin`, { mode: 0o755 });
      await installStandIn(`${folder}/bin`);
      await installStandInJailer(`${folder}/bin`);
      await Deno.writeFile(`${folder}/vmlinux`, fakeKernel(), { mode: 0o644 });
      await Deno.writeFile(`${folder}/initrd.img`, new Uint8Array(512), { mode: 0o644 });
      const namespace = `wrenn-fc-${newExecutionId()}`;
      await runCommand(["ip", "netns", "add", namespace]);
      undo.add(async () => void await runCommand(["ip", "netns", "del", namespace]), "namespace");
      const { tap } = planSlot(SLOT);
      await runCommand(["ip", "-n", namespace, "tuntap", "add", tap, "mode", "tap"]);
      return new BareHost(folder, namespace, undo);
    } catch (error) {
      await undo.run();
      throw error;
    }
  }

  /** Options of a driver that uses the jailer. */
  options(change: Partial<FirecrackerDriverOptions> = {}): FirecrackerDriverOptions {
    return {
      dataDir: this.dataDir,
      kernel: `${this.#folder}/vmlinux`,
      initrd: `${this.#folder}/initrd.img`,
      firecrackerBin: this.#firecracker,
      jailerBin: this.#jailer,
      jail: "jailer",
      tscKhz: 2_000_000,
      overheadMb: 512,
      ...change,
    };
  }

  /** A machine to boot. */
  async spec(change: Partial<BootSpec> = {}): Promise<BootSpec> {
    const machine = await this.#machine();
    return {
      ...machine,
      kernel: `${this.#folder}/vmlinux`,
      initrd: `${this.#folder}/initrd.img`,
      initArgs: ["wrenn.hostname=sb-00000001"],
      memoryFile: `${machine.disk.folder}/memory-${machine.vmId}.base`,
      ...change,
    };
  }

  /** A machine that continues from files, on a disk of its own. */
  async successor(from: Pick<RestoreSpec, "memoryBase" | "state" | "fill">): Promise<RestoreSpec> {
    return { ...await this.#machine(), ...from };
  }

  /** Paths of all jails. */
  async jails(): Promise<string[]> {
    const jails = `${this.dataDir}/jails`;
    const depth = ["-mindepth", "3", "-maxdepth", "3"];
    const { stdout } = await runCommand(["find", jails, ...depth]);
    return stdout.split("\n").filter((line) => line !== "");
  }

  /** Removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.run();
  }

  async #machine(): Promise<MachineSpec> {
    const vmId = newExecutionId();
    const folder = `${this.dataDir}/disk-${vmId}`;
    await Deno.mkdir(folder);
    await Deno.writeFile(`${folder}/disk`, new Uint8Array(4096), { mode: 0o600 });
    const runDir = `${this.runRoot}/${vmId}`;
    await Deno.mkdir(runDir, { mode: 0o700 });
    return {
      vmId,
      vcpus: 1,
      memoryMb: MEMORY_MB,
      disk: { path: `${folder}/disk`, format: "raw", sizeMb: 1, folder, layers: ["disk"] },
      slot: { ...planSlot(SLOT), namespace: this.#namespace },
      runDir,
      uid: 300_000 + SLOT,
    };
  }
}
