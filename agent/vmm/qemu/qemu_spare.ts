/** A QEMU that was started ahead of time: it waits for a disk, pages and a device state. */
import type { CleanupStack } from "@wrenn/common";
import { basename, join } from "node:path";
import {
  DISK_DEVICE,
  DISK_NODE,
  layerNode,
  NO_DISK_NODE,
  spareArgs,
} from "../../core/qemu_args.ts";
import type { RestoreSpec, SpareSpec, SpareVm, Vm } from "../driver.ts";
import { bringBack } from "./load_state.ts";
import { type QemuDriverParts, type Started, startQemu } from "./qemu_process.ts";
import { removeFile } from "../run_files.ts";
import { undone, vmOf } from "./qemu_start.ts";

/** In the run folder: QEMU has it open as descriptor 9 from its start, and reads it when it is told to load. */
const STATE = "state";

/** One process, for one machine. */
export class QemuSpare implements SpareVm {
  /** The id given at its start. */
  readonly vmId: string;
  /** QEMU's process id. */
  readonly pid: number;
  /** Settles when QEMU has ended. */
  readonly ended: Promise<unknown>;
  readonly #started: Started;
  readonly #spec: SpareSpec;
  #taken: Promise<Vm> | undefined;

  private constructor(spec: SpareSpec, started: Started) {
    this.#spec = spec;
    this.#started = started;
    this.vmId = spec.vmId;
    this.pid = started.process.pid;
    this.ended = started.process.ended.then(() => this.#clean());
  }

  /** Starts the process. `undo` gets what has to be undone when that fails. */
  static async start(
    parts: QemuDriverParts,
    spec: SpareSpec,
    undo: CleanupStack,
  ): Promise<QemuSpare> {
    const state = join(spec.runDir, STATE);
    (await Deno.open(state, { write: true, createNew: true, mode: 0o600 })).close();
    undo.add(() => removeFile(state), "state file");
    const args = spareArgs(parts.facts, spec);
    const started = await startQemu(parts, spec, { args, start: "restore", state }, undo);
    started.cleanUp.add(() => removeFile(state), "state file");
    return new QemuSpare(spec, started);
  }

  /** Brings a machine back, once. */
  restore(spec: RestoreSpec): Promise<Vm> {
    if (this.#taken) throw new Error(`Process ${this.pid} has become a machine already`);
    this.#taken = this.#restore(spec);
    return this.#taken;
  }

  /** Ends the process. */
  async kill(): Promise<void> {
    const vm = await this.#taken?.catch(() => undefined);
    if (vm) return await vm.kill();
    await this.#started.process.kill();
    await this.ended;
  }

  async #restore(spec: RestoreSpec): Promise<Vm> {
    const { qmp, process, cleanUp } = this.#started;
    return await undone(spec, async (undo) => {
      undo.add(() => cleanUp.run(), "run folder");
      undo.add(async () => {
        await process.kill();
        await process.ended;
      }, "process");
      await this.#writeState(spec.state);
      // The disk's folder is the root of the process.
      const node = layerNode(DISK_NODE, spec.disk, `/${basename(spec.disk.path)}`);
      await qmp.execute("blockdev-add", { ...node });
      const drive = { path: DISK_DEVICE, property: "drive", value: DISK_NODE };
      await qmp.execute("qom-set", drive);
      await qmp.execute("blockdev-del", { "node-name": NO_DISK_NODE });
      const of = { memoryFile: this.#spec.memoryBase, booted: false };
      const vm = await vmOf(spec, this.#started, of);
      await bringBack(vm, qmp, spec);
      return vm;
    });
  }

  async #writeState(from: string): Promise<void> {
    const state = await Deno.readFile(from);
    await Deno.writeFile(join(this.#spec.runDir, STATE), state, { create: false });
  }

  /** What a process leaves that never became a machine. */
  async #clean(): Promise<void> {
    if (this.#taken) return;
    await this.#started.qmp[Symbol.asyncDispose]();
    await this.#started.cleanUp.run();
  }
}
