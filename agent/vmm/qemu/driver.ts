/** The QEMU driver: boots and restores microVMs in a jail, and finds those that a dead agent left. */
import { CleanupStack, delay, hashFile, logger, runCommand, WrennError } from "@wrenn/common";
import { z } from "zod";
import {
  bootArgs,
  CPU_MODELS,
  type HostFacts,
  kernelLine,
  restoreArgs,
  type RunFiles,
  runFiles,
  STATE_FD,
  STATE_FILE,
  translationBufferMb,
} from "../../core/qemu_args.ts";
import type { SnapshotEnvironment } from "../../snapshot/manifest.ts";
import type { AdoptSpec, BootSpec, MachineSpec, RestoreSpec, Vm, VmmDriver } from "../driver.ts";
import { type AcceleratorMode, chooseAccelerator } from "./accelerator.ts";
import { Cgroups } from "../cgroup.ts";
import { findRegion } from "./guest_memory.ts";
import { QEMU_BIN, readQemuVersion, tscKhzOf, versionText } from "./host_facts.ts";
import { type Jail, launch } from "./launcher.ts";
import { findVmms, killVmm } from "../process_identity.ts";
import { QmpClient, QmpError, type QmpEvent } from "./qmp.ts";
import { QEMU_MARKS } from "./qemu_marks.ts";
import { QemuVm } from "./qemu_vm.ts";
import { checkPrivate, makeSparse, removeFile, runRootOf } from "../run_files.ts";
import { fileTail } from "../tail.ts";
import { childHandle, strangerHandle, type VmmHandle } from "../vmm_handle.ts";

const log = logger("agent", "vmm");
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 2;
/** QEMU's own memory: its text and heap, device buffers, page tables of the guest's memory. */
const OVERHEAD_MB = 192;
const LOG_LINES = 20;
const ADOPT_TIMEOUT_MS = 3_000;
const LOAD_TIMEOUT_MS = 30_000;
const LOAD_POLL_MS = 1;
const MIB = 1 << 20;

const runState = z.object({ status: z.string() });
const migration = z.object({ status: z.string().optional(), "error-desc": z.string().optional() });

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

/** What the driver works with. */
export interface QemuDriverParts {
  readonly qemuBin: string;
  readonly facts: HostFacts;
  /** SHA-256 of the guest's kernel. */
  readonly kernelHash: string;
  /** Undefined where the host has no cgroup v2 with the controllers. */
  readonly cgroups: Cgroups | undefined;
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
    return await this.#undone(spec, async (undo) => {
      const args = bootArgs(this.#parts.facts, spec);
      await makeSparse(spec.memoryFile, spec.memoryMb * MIB);
      // Only now is it ours to remove.
      undo.add(() => removeFile(spec.memoryFile), "memory file");
      const started = await this.#start(spec, { args, start: "boot" }, undo);
      await expectStatus(started.qmp, "running");
      return await this.#vm(spec, started, { memoryFile: spec.memoryFile, booted: true });
    });
  }

  /**
   * Brings a machine back: its memory is the base, mapped privately, with what `fill` writes over it; then the
   * state of its devices is loaded. Its vCPUs stand still.
   *
   * @throws {WrennError} `internal`; the cause has the end of QEMU's log.
   */
  async restore(spec: RestoreSpec): Promise<Vm> {
    return await this.#undone(spec, async (undo) => {
      const args = restoreArgs(this.#parts.facts, spec);
      const start = { args, start: "restore", state: spec.state } as const;
      const started = await this.#start(spec, start, undo);
      const vm = await this.#vm(spec, started, { memoryFile: spec.memoryBase, booted: false });
      if (spec.fill) {
        using memory = await vm.memory();
        await spec.fill(memory);
      }
      await load(started.qmp);
      await expectStatus(started.qmp, "paused");
      return vm;
    });
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
      const cleanUp = this.#cleanUpOf(spec, files);
      const started = { process: strangerHandle(found, QEMU_MARKS), qmp, files, events, cleanUp };
      const { memoryBase: memoryFile, booted } = spec;
      return await this.#vm(spec, started, { memoryFile, booted });
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

  /** Runs a start; when it fails, undoes it and tells the end of QEMU's log. */
  async #undone(spec: MachineSpec, work: (undo: CleanupStack) => Promise<Vm>): Promise<Vm> {
    const undo = new CleanupStack();
    try {
      const vm = await work(undo);
      undo.keep();
      return vm;
    } catch (cause) {
      const tail = await fileTail(runFiles(spec.runDir).log, LOG_LINES);
      await undo.run();
      if (cause instanceof WrennError && cause.code !== "internal") throw cause;
      const reason = new Error(`QEMU did not start: ${tail || "its log is empty"}`, { cause });
      throw new WrennError("internal", "Cannot start the virtual machine", { cause: reason });
    }
  }

  async #start(
    spec: MachineSpec,
    how: { args: readonly string[]; start: "boot" | "restore"; state?: string },
    undo: CleanupStack,
  ): Promise<Started> {
    await checkPrivate(spec.runDir);
    const files = runFiles(spec.runDir);
    const cleanUp = new CleanupStack();
    undo.add(() => cleanUp.run(), "run folder");
    await makeStateFile(`${spec.disk.folder}/${STATE_FILE}`, spec.uid);
    const cgroup = await this.#cgroup(spec, how.start, cleanUp);
    undo.add(() => removeFile(files.log), "log");
    cleanUp.add(() => removeFile(files.qmp), "control socket");
    const jail: Jail = {
      namespace: spec.slot.namespace,
      log: files.log,
      ...(cgroup ? { cgroup } : {}),
      ...(how.state === undefined ? {} : { state: how.state }),
    };
    const process = childHandle(launch(jail, [this.#parts.qemuBin, ...how.args]));
    undo.add(async () => {
      await process.kill();
      await process.ended;
    }, "process");
    const events = eventBuffer();
    const qmp = await connect(files.qmp, process, events.take);
    undo.add(() => qmp[Symbol.asyncDispose](), "control connection");
    return { process, qmp, files, events, cleanUp };
  }

  async #vm(
    { vmId, memoryMb }: MachineSpec,
    { process, qmp, files, events, cleanUp }: Started,
    { memoryFile, booted }: { memoryFile: string; booted: boolean },
  ): Promise<QemuVm> {
    const { ino } = await Deno.stat(memoryFile);
    if (ino === null) throw new Error(`'${memoryFile}' has no inode`);
    const memory = await findRegion(process.pid, ino, memoryMb * MIB);
    const vm = new QemuVm({
      ...{ vmId, process, qmp, files, memory, booted },
      cleanUp: () => cleanUp.run(),
    });
    events.deliver((event) => vm.onEvent(event));
    log.debug("Machine {vmId} is process {pid}", { vmId, pid: vm.pid });
    return vm;
  }

  /** What a machine that is taken over leaves when it ends. */
  #cleanUpOf(spec: MachineSpec, files: RunFiles): CleanupStack {
    const cleanUp = new CleanupStack();
    const { cgroups } = this.#parts;
    if (cgroups) {
      const path = cgroups.pathOf(runRootOf(spec), spec.vmId);
      cleanUp.add(() => cgroups.remove(path), "cgroup");
    }
    cleanUp.add(() => removeFile(files.qmp), "control socket");
    return cleanUp;
  }

  async #cgroup(
    spec: MachineSpec,
    start: "boot" | "restore",
    cleanUp: CleanupStack,
  ): Promise<string | undefined> {
    const { cgroups, facts } = this.#parts;
    if (!cgroups) return undefined;
    const buffer = facts.accelerator === "tcg" ? translationBufferMb(spec.memoryMb, start) : 0;
    const path = await cgroups.create(runRootOf(spec), spec.vmId, {
      vcpus: spec.vcpus,
      memoryMb: spec.memoryMb + buffer + OVERHEAD_MB,
    });
    cleanUp.add(() => cgroups.remove(path), "cgroup");
    return path;
  }
}

/** A process that listens. */
interface Started {
  readonly process: VmmHandle;
  readonly qmp: QmpClient;
  readonly files: RunFiles;
  readonly events: EventBuffer;
  readonly cleanUp: CleanupStack;
}

/** Keeps events until somebody takes them. */
interface EventBuffer {
  take(event: QmpEvent): void;
  deliver(sink: (event: QmpEvent) => void): void;
}

function eventBuffer(): EventBuffer {
  const early: QmpEvent[] = [];
  let sink = (event: QmpEvent): void => void early.push(event);
  return {
    take: (event) => sink(event),
    deliver: (to) => {
      sink = to;
      early.splice(0).forEach(to);
    },
  };
}

/** Loads the device state from the descriptor that QEMU was started with. */
async function load(qmp: QmpClient): Promise<void> {
  // Its place in the network is as new as the machine: nobody has to learn where it went.
  await qmp.execute("migrate-set-parameters", { "announce-rounds": 0 });
  await qmp.execute("migrate-incoming", { uri: `fd:${STATE_FD}` });
  const deadline = performance.now() + LOAD_TIMEOUT_MS;
  for (;;) {
    const seen = migration.parse(await qmp.execute("query-migrate"));
    if (seen.status === "completed") return;
    if (seen.status === "failed") {
      throw new Error(`The device state was refused: ${seen["error-desc"] ?? "see the log"}`);
    }
    if (performance.now() > deadline) throw new Error("The device state does not load");
    await delay(LOAD_POLL_MS);
  }
}

/** The file that QEMU, as the VM's uid, writes its device state to. */
async function makeStateFile(path: string, uid: number): Promise<void> {
  (await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 })).close();
  await Deno.chown(path, uid, uid);
}

/** Connects as soon as QEMU listens; fails at once when the process ends. */
async function connect(
  path: string,
  process: VmmHandle,
  onEvent: (event: QmpEvent) => void,
): Promise<QmpClient> {
  const stop = new AbortController();
  let ended = false;
  process.ended.then(({ code, signal }) => {
    ended = true;
    stop.abort(new Error(`QEMU ended with ${signal ?? `code ${code}`}`));
  });
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    try {
      return await QmpClient.connect(path, { onEvent, signal: stop.signal });
    } catch (error) {
      const absent = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused;
      // The socket closes a moment before the process's end is known.
      const closed = error instanceof QmpError && error.failure === "closed";
      if (ended || (!absent && !closed)) throw stop.signal.reason ?? error;
    }
    await delay(POLL_MS, stop.signal);
  }
  throw new Error(`QEMU does not listen after ${START_TIMEOUT_MS} ms`);
}

async function expectStatus(qmp: QmpClient, expected: string): Promise<void> {
  const { status } = runState.parse(await qmp.execute("query-status"));
  if (status !== expected) throw new Error(`The machine is '${status}', not '${expected}'`);
}
