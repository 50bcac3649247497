/** The QEMU driver: boots microVMs in a jail and finds those that a dead agent left. */
import { CleanupStack, delay, logger, runCommand, WrennError } from "@wrenn/common";
import {
  type HostFacts,
  qemuArgs,
  type RunFiles,
  runFiles,
  translationBufferMb,
} from "../../core/qemu_args.ts";
import type { BootSpec, Vm, VmmDriver } from "../driver.ts";
import { type AcceleratorMode, chooseAccelerator } from "./accelerator.ts";
import { Cgroups } from "./cgroup.ts";
import { QEMU_BIN, readQemuVersion, tscKhzOf, versionText } from "./host_facts.ts";
import { launch } from "./launcher.ts";
import { findVmms, killVmm } from "./process_identity.ts";
import { QmpClient, QmpError, type QmpEvent } from "./qmp.ts";
import { QemuVm } from "./qemu_vm.ts";
import { fileTail } from "./tail.ts";

const log = logger("agent", "vmm");
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 2;
/** QEMU's own memory: its text and heap, device buffers, page tables of the guest's memory. */
const OVERHEAD_MB = 192;
const LOG_LINES = 20;

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
    return new QemuDriver({ qemuBin, facts, cgroups: await Cgroups.open() });
  }

  /** `qemu 7.2.22`. */
  get version(): string {
    return `qemu ${versionText(this.#parts.facts.version)}`;
  }

  /** What runs the guest's instructions. */
  get accelerator(): "kvm" | "tcg" {
    return this.#parts.facts.accelerator;
  }

  /**
   * Starts a machine and answers when its vCPUs run. On failure nothing is left behind.
   *
   * @throws {WrennError} `internal`; the cause has the end of QEMU's log.
   */
  async boot(spec: BootSpec): Promise<Vm> {
    const undo = new CleanupStack();
    const files = runFiles(spec.runDir);
    try {
      const vm = await this.#start(spec, files, undo);
      undo.keep();
      return vm;
    } catch (cause) {
      const tail = await fileTail(files.log, LOG_LINES);
      await undo.run();
      const reason = new Error(`QEMU did not start: ${tail || "its log is empty"}`, { cause });
      throw new WrennError("internal", "Cannot start the virtual machine", { cause: reason });
    }
  }

  /** Ends every QEMU of ours whose run folder lies in `runRoot`, whoever started it. */
  async sweep(runRoot: string): Promise<number> {
    const killed = await Promise.all((await findVmms(runRoot)).map((vmm) => killVmm(vmm)));
    await this.#parts.cgroups?.sweep(runRoot);
    return killed.filter(Boolean).length;
  }

  async #start(spec: BootSpec, files: RunFiles, undo: CleanupStack): Promise<QemuVm> {
    const args = qemuArgs(this.#parts.facts, spec);
    await checkPrivate(spec.runDir);
    const cleanUp = new CleanupStack();
    undo.add(() => cleanUp.run(), "run folder");
    cleanUp.add(() => removeFile(files.jail), "jail");
    await Deno.mkdir(files.jail, { mode: 0o555 });
    const cgroup = await this.#cgroup(spec, cleanUp);
    undo.add(() => removeFile(files.log), "log");
    cleanUp.add(() => removeFile(files.qmp), "control socket");
    const jail = { namespace: spec.slot.namespace, log: files.log, ...(cgroup ? { cgroup } : {}) };
    const child = launch(jail, [this.#parts.qemuBin, ...args]);
    undo.add(() => end(child), "process");
    const early: QmpEvent[] = [];
    let sink = (event: QmpEvent): void => void early.push(event);
    const qmp = await connect(files.qmp, child, (event) => sink(event));
    undo.add(() => qmp[Symbol.asyncDispose](), "control connection");
    await checkRunning(qmp);
    const { vmId, sandboxId } = spec;
    const vm = new QemuVm({ vmId, sandboxId, child, qmp, files, cleanUp: () => cleanUp.run() });
    sink = (event) => vm.onEvent(event);
    early.forEach(sink);
    log.debug("Booted {sandboxId} as process {pid}", { sandboxId, vmId, pid: vm.pid });
    return vm;
  }

  async #cgroup(spec: BootSpec, cleanUp: CleanupStack): Promise<string | undefined> {
    const { cgroups, facts } = this.#parts;
    if (!cgroups) return undefined;
    const buffer = facts.accelerator === "tcg" ? translationBufferMb(spec.memoryMb) : 0;
    const path = await cgroups.create(spec.runDir.replace(/\/[^/]*$/, ""), spec.vmId, {
      vcpus: spec.vcpus,
      memoryMb: spec.memoryMb + buffer + OVERHEAD_MB,
    });
    cleanUp.add(() => cgroups.remove(path), "cgroup");
    return path;
  }
}

/** The control socket commands QEMU, which opened its files as root: it must stay out of reach. */
async function checkPrivate(runDir: string): Promise<void> {
  const { mode, uid, isDirectory } = await Deno.lstat(runDir);
  if (!isDirectory || uid !== 0 || ((mode ?? 0o777) & 0o077) !== 0) {
    throw new Error(`The run folder '${runDir}' is open to other users`);
  }
}

/** Connects as soon as QEMU listens; fails at once when the process ends. */
async function connect(
  path: string,
  child: Deno.ChildProcess,
  onEvent: (event: QmpEvent) => void,
): Promise<QmpClient> {
  const stop = new AbortController();
  let ended: Deno.CommandStatus | undefined;
  child.status.then((status) => {
    ended = status;
    stop.abort(new Error(`QEMU ended with ${status.signal ?? `code ${status.code}`}`));
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

async function checkRunning(qmp: QmpClient): Promise<void> {
  const state = await qmp.execute("query-status");
  const status = state !== null && typeof state === "object" && "status" in state
    ? state.status
    : undefined;
  if (status !== "running") throw new Error(`The machine is '${status}' after its start`);
}

async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    log.debug("The process had ended already: {error}", { error });
  }
  await child.status;
}

async function removeFile(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
