/** What tests of a VMM driver need of a host: images, slots, disks, run folders. Leaves nothing behind. */
import { CleanupStack, ConfigError, newExecutionId, newSandboxId, runCommand } from "@wrenn/common";
import type { SlotRange } from "../../core/slot_allocator.ts";
import { NetnsSlots } from "../../network/netns_slots.ts";
import { lockRange } from "../../network/range_lock.ts";
import { DmStore } from "../../rootfs/dm/dm_store.ts";
import { Qcow2Store } from "../../rootfs/qcow2_store.ts";
import { SLOWNESS } from "../../testing/slowness.ts";
import { provideImages } from "../../testing/test_images.ts";
import type { BlockDevice } from "../../rootfs/store.ts";
import type { BootSpec, MachineSpec, RestoreSpec } from "../driver.ts";
import { RawDisks, type VmDisks } from "./raw_disks.ts";

/** The first and the last index of the ranges of slots of which each host takes one for itself. */
const TEST_SLOTS = { first: 62000, last: 62099 };
const RANGE = 10;

/** Which store the disks come from: layers that QEMU reads, devices, or plain copies of the base. */
export type DiskKind = "qcow2" | "dm" | "raw";

const STORES: Readonly<Record<DiskKind, (dataDir: string) => VmDisks>> = {
  qcow2: (dataDir) => new Qcow2Store({ dataDir }),
  dm: (dataDir) => new DmStore({ dataDir }),
  raw: (dataDir) => new RawDisks(dataDir),
};

/** A host with one image and a run root of its own. */
export class VmHost implements AsyncDisposable {
  /** Folder with kernels and images. */
  readonly dataDir: string;
  /** Folder of the run folders. */
  readonly runRoot: string;
  readonly #undo: CleanupStack;
  readonly #slots: NetnsSlots;
  readonly #disks: VmDisks;

  private constructor(
    dataDir: string,
    runRoot: string,
    range: SlotRange,
    disks: VmDisks,
    undo: CleanupStack,
  ) {
    this.dataDir = dataDir;
    this.runRoot = runRoot;
    this.#undo = undo;
    this.#slots = new NetnsSlots({ range, run: runCommand });
    this.#disks = disks;
  }

  /** Makes the folders, brings in kernel and image, prepares the network. */
  static async open(template: string = "minimal", disks: DiskKind = "qcow2"): Promise<VmHost> {
    const undo = new CleanupStack();
    try {
      const root = await Deno.makeTempDir({ prefix: "wrenn-vmm-" });
      undo.add(() => Deno.remove(root, { recursive: true }), "test folder");
      const dataDir = `${root}/data`;
      await provideImages(dataDir, [template]);
      await Deno.mkdir(`${root}/run`, { mode: 0o700 });
      const { range, lock } = await takeRange();
      undo.add(() => lock[Symbol.dispose](), "range of slots");
      const host = new VmHost(dataDir, `${root}/run`, range, STORES[disks](dataDir), undo);
      await host.#slots.start();
      undo.add(() => host.#slots.stop(), "slots");
      return host;
    } catch (error) {
      await undo.run();
      throw error;
    }
  }

  /** A machine that can be booted, with parts replaced by those given. */
  async spec(change: Partial<BootSpec> = {}, template: string = "minimal"): Promise<BootSpec> {
    const [sandboxId, vmId] = [newSandboxId(), newExecutionId()];
    const slot = await this.#slots.claim();
    await this.#slots.applyPolicy(slot, { internet: false, allowOut: [], denyOut: [] });
    const base = await this.#disks.acquireBase(template);
    const disk = await this.#disks.overlay(sandboxId, base, 0);
    this.#undo.add(async () => {
      await this.#disks.remove(sandboxId);
      this.#disks.releaseBase(base);
    }, "disk");
    const runDir = `${this.runRoot}/${vmId}`;
    await Deno.mkdir(runDir, { mode: 0o700 });
    return {
      vmId,
      vcpus: 1,
      memoryMb: 512,
      disk,
      slot,
      kernel: `${this.dataDir}/kernels/vmlinux`,
      initrd: `${this.dataDir}/kernels/initrd.img`,
      initArgs: [
        `wrenn.hostname=${sandboxId}`,
        `wrenn.ip=${slot.guestIp}/30`,
        `wrenn.gw=${slot.gatewayIp}`,
        "wrenn.dns=1.1.1.1",
      ],
      runDir,
      uid: 300000 + slot.index,
      memoryFile: `${disk.folder}/memory-${vmId}.base`,
      ...change,
    };
  }

  /** A machine that continues from files on a disk of its own over the layers of another. */
  async successor(
    of: BootSpec | RestoreSpec,
    from: { memoryBase: string; state: string },
  ): Promise<RestoreSpec> {
    const [diskId, vmId] = [newSandboxId(), newExecutionId()];
    const frozen = await this.#disks.freeze(of.disk, await Deno.makeTempDir({ dir: this.runRoot }));
    const disk = await this.#disks.overlayOn(diskId, frozen);
    this.#undo.add(() => this.#disks.remove(diskId), "disk");
    const runDir = `${this.runRoot}/${vmId}`;
    await Deno.mkdir(runDir, { mode: 0o700 });
    const { vcpus, memoryMb, slot, uid } = of;
    return { vmId, vcpus, memoryMb, slot, uid, disk, runDir, ...from };
  }

  /** Adds an empty layer to a disk. @throws {Error} When plain copies are used, which have none. */
  async addLayer(spec: MachineSpec): Promise<BlockDevice> {
    if (!this.#disks.addLayer) throw new Error("These disks have no layers");
    return await this.#disks.addLayer(spec.disk, spec.uid);
  }

  /** Removes slots, disks and folders. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.run();
  }
}

/** Takes slots that no other process on this machine has. */
async function takeRange(): Promise<{ range: SlotRange; lock: Disposable }> {
  for (let { first } = TEST_SLOTS; first < TEST_SLOTS.last; first += RANGE) {
    const range = { first, last: first + RANGE - 1 };
    try {
      return { range, lock: await lockRange(range) };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
    }
  }
  throw new Error("Other tests have all slots");
}

const ANSWER_MS = 60_000 * SLOWNESS;

/** True when the guest's envd answers; gives up after `timeoutMs`. */
export async function answers(spec: MachineSpec, timeoutMs: number = ANSWER_MS): Promise<boolean> {
  const giveUp = AbortSignal.timeout(timeoutMs);
  // A connection of its own for every question: none is left open to a guest that is gone.
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  while (!giveUp.aborted) {
    try {
      const signal = AbortSignal.any([giveUp, AbortSignal.timeout(2000 * SLOWNESS)]);
      const response = await fetch(`http://${spec.slot.hostIp}:49983/health`, { client, signal });
      await response.body?.cancel();
      return response.ok;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return false;
}

/** Names of the files in a folder, sorted. */
export async function filesIn(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path), (entry) => entry.name)).sort();
}

/** Process ids whose command line has this text. */
export async function processesWith(text: string): Promise<number[]> {
  const found = await runCommand(["pgrep", "-f", "--", text], { allowFailure: true });
  return found.stdout.split("\n").filter((line) => line !== "").map(Number);
}
