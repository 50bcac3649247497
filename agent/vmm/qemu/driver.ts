/** The QEMU driver: boots and restores microVMs in a jail, and finds those that a dead agent left. */
import { CleanupStack, hashFile, logger, runCommand } from "@wrenn/common";
import { bootArgs, CPU_MODELS, kernelLine, restoreArgs, runFiles } from "../../core/qemu_args.ts";
import type { SnapshotEnvironment } from "../../snapshot/manifest.ts";
import type {
  AdoptSpec,
  BootSpec,
  RestoreSpec,
  SpareSpec,
  SpareVm,
  Vm,
  VmmDriver,
} from "../driver.ts";
import { type AcceleratorMode, chooseAccelerator } from "./accelerator.ts";
import { Cgroups } from "../cgroup.ts";
import { QEMU_BIN, readQemuVersion, tscKhzOf, versionText } from "./host_facts.ts";
import { bringBack, expectStatus } from "./load_state.ts";
import { findVmms, killVmm } from "../process_identity.ts";
import { cleanUpOf, eventBuffer, type QemuDriverParts, startQemu } from "./qemu_process.ts";
import { QemuSpare } from "./qemu_spare.ts";
import { undone, vmOf } from "./qemu_start.ts";
import { QmpClient } from "./qmp.ts";
import { QEMU_MARKS } from "./qemu_marks.ts";
import { makeSparse, removeFile, runRootOf } from "../run_files.ts";
import { strangerHandle } from "../vmm_handle.ts";

const log = logger("agent", "vmm");
const ADOPT_TIMEOUT_MS = 3_000;
const MIB = 1 << 20;

/** How to open a {@linkcode QemuDriver}. */
export interface QemuDriverOptions {
  /** The agent's data folder: the accelerator's choice is kept in `accel.json`. */
  readonly dataDir: string;
  /** Guest kernel, to prove that KVM works. */
  readonly kernel: string;
  /** Its initramfs. */
  readonly initrd: string;
  /** `WRENN_ACCEL`. */
  readonly accelerator?: AcceleratorMode;
  /** `WRENN_QEMU_BIN`: name or path of `qemu-system-x86_64`. */
  readonly qemuBin?: string;
  /** Calibrated rate of the host's time stamp counter in kHz; else `cpu MHz` of /proc/cpuinfo. */
  readonly tscKhz?: number;
}

/** QEMU `microvm`, one process per virtual machine. */
export class QemuDriver implements VmmDriver {
  readonly #parts: QemuDriverParts;

  /** @param parts What {@linkcode QemuDriver.open} finds out. */
  constructor(parts: QemuDriverParts) {
    this.#parts = parts;
  }

  /**
   * Looks at the host and chooses the accelerator.
   *
   * @throws {Error} When QEMU is missing or a demanded KVM does not work.
   */
  static async open(options: QemuDriverOptions): Promise<QemuDriver> {
    const qemuBin = options.qemuBin ?? QEMU_BIN;
    const version = await readQemuVersion(qemuBin, runCommand);
    const tscKhz = options.tscKhz ?? tscKhzOf(await Deno.readTextFile("/proc/cpuinfo"));
    const { accelerator } = await chooseAccelerator({
      mode: options.accelerator ?? "auto",
      qemuBin,
      version,
      tscKhz,
      kernel: options.kernel,
      initrd: options.initrd,
      cacheFile: `${options.dataDir}/accel.json`,
    });
    const facts = { version, accelerator, tscKhz };
    const kernelHash = await hashFile(options.kernel);
    return new QemuDriver({ qemuBin, facts, kernelHash, cgroups: await Cgroups.open() });
  }

  /** `qemu 7.2.22`. */
  get version(): string {
    return `qemu ${versionText(this.#parts.facts.version)}`;
  }

  /** What runs the guest's instructions. */
  get accelerator(): "kvm" | "tcg" {
    return this.#parts.facts.accelerator;
  }

  /** What a snapshot made here depends on. */
  get environment(): SnapshotEnvironment {
    const { facts, kernelHash } = this.#parts;
    return {
      vmm: this.version,
      accelerator: facts.accelerator,
      cpu_model: CPU_MODELS[facts.accelerator],
      tsc_khz: facts.tscKhz,
      kernel_hash: kernelHash,
      boot_line: kernelLine(facts, []),
    };
  }

  /**
   * Starts a machine and answers when its vCPUs run. On failure nothing is left behind.
   *
   * @throws {WrennError} `internal`; the cause has the end of QEMU's log.
   */
  async boot(spec: BootSpec): Promise<Vm> {
    return await undone(spec, async (undo) => {
      const args = bootArgs(this.#parts.facts, spec);
      await makeSparse(spec.memoryFile, spec.memoryMb * MIB);
      // Only now is it ours to remove.
      undo.add(() => removeFile(spec.memoryFile), "memory file");
      const started = await startQemu(this.#parts, spec, { args, start: "boot" }, undo);
      await expectStatus(started.qmp, "running");
      return await vmOf(spec, started, { memoryFile: spec.memoryFile, booted: true });
    });
  }

  /**
   * Brings a machine back: its memory is the base, mapped privately, with what `fill` writes over it; then the
   * state of its devices is loaded. Its vCPUs stand still.
   *
   * @throws {WrennError} `internal`; the cause has the end of QEMU's log.
   */
  async restore(spec: RestoreSpec): Promise<Vm> {
    return await undone(spec, async (undo) => {
      const args = restoreArgs(this.#parts.facts, spec);
      const start = { args, start: "restore", state: spec.state } as const;
      const started = await startQemu(this.#parts, spec, start, undo);
      const vm = await vmOf(spec, started, { memoryFile: spec.memoryBase, booted: false });
      await bringBack(vm, started.qmp, spec);
      return vm;
    });
  }

  /**
   * Starts a process ahead of what it will bring back. On failure nothing is left behind.
   *
   * @throws {WrennError} `internal`; the cause has the end of QEMU's log.
   */
  async prepare(spec: SpareSpec): Promise<SpareVm> {
    return await undone(spec, (undo) => QemuSpare.start(this.#parts, spec, undo));
  }

  /** Takes over the machine of a dead agent; ends it and answers undefined when it cannot be controlled. */
  async adopt(spec: AdoptSpec): Promise<Vm | undefined> {
    const found = (await findVmms(runRootOf(spec), QEMU_MARKS)).find(({ runDir }) =>
      runDir === spec.runDir
    );
    if (!found) return undefined;
    const undo = new CleanupStack();
    try {
      const files = runFiles(spec.runDir);
      const events = eventBuffer();
      const qmp = await QmpClient.connect(files.qmp, {
        onEvent: events.take,
        timeoutMs: ADOPT_TIMEOUT_MS,
      });
      undo.add(() => qmp[Symbol.asyncDispose](), "control connection");
      const cleanUp = cleanUpOf(this.#parts, spec, files);
      const started = { process: strangerHandle(found, QEMU_MARKS), qmp, files, events, cleanUp };
      const { memoryBase: memoryFile, booted } = spec;
      return await vmOf(spec, started, { memoryFile, booted });
    } catch (error) {
      log.error("Cannot take over a machine, ending it", { vmId: spec.vmId, error });
      await undo.run();
      await killVmm(found, QEMU_MARKS);
      return undefined;
    }
  }

  /** Ends every QEMU of ours whose run folder lies in `runRoot` and is not kept, whoever started it. */
  async sweep(runRoot: string, keep: ReadonlySet<string>): Promise<number> {
    const stale = (await findVmms(runRoot, QEMU_MARKS)).filter(({ runDir }) => !keep.has(runDir));
    const killed = await Promise.all(stale.map((vmm) => killVmm(vmm, QEMU_MARKS)));
    const kept = new Set([...keep].map((runDir) => runDir.slice(runDir.lastIndexOf("/") + 1)));
    await this.#parts.cgroups?.sweep(runRoot, kept);
    return killed.filter(Boolean).length;
  }
}
