/** The Firecracker driver: boots and restores microVMs in a jail, and finds those that a dead agent left. */
import { CleanupStack, hashFile, logger, WrennError } from "@wrenn/common";
import {
  type FirecrackerVersion,
  knowsClockRealtime,
  vmmName,
} from "../../core/firecracker_host.ts";
import { JAILED, runDirOf } from "../../core/firecracker_jail.ts";
import type { IoLimits } from "../../core/firecracker_limits.ts";
import {
  bootCalls,
  DEFAULT_SETTINGS,
  firecrackerKernelLine,
  type FirecrackerSettings,
  restoreCalls,
} from "../../core/firecracker_requests.ts";
import type { SnapshotEnvironment } from "../../snapshot/manifest.ts";
import { Cgroups, groupOf } from "../cgroup.ts";
import type { AdoptSpec, BootSpec, MachineSpec, RestoreSpec, Vm, VmmDriver } from "../driver.ts";
import { findVmms, killVmm, type VmmMarks } from "../process_identity.ts";
import { checkPrivate, makeSparse, removeFile, runRootOf } from "../run_files.ts";
import { lastLines } from "../tail.ts";
import { childHandle, strangerHandle } from "../vmm_handle.ts";
import { FirecrackerVm, type FirecrackerVmParts } from "./firecracker_vm.ts";
import { fullDisk } from "./full_disk.ts";
import { type FirecrackerHost, lookAtHost } from "./host.ts";
import { JailFolder } from "./jail_folder.ts";
import { launch, type Programs } from "./launcher.ts";
import type { LivenessTimes } from "./liveness.ts";
import { checkHoles, filledMemory } from "./memory_files.ts";
import type { FreshMachine } from "./unstarted_machine.ts";
import { openMachine } from "./open_machine.ts";
import { makePipe, PipeTail } from "./pipe_tail.ts";
import { runFiles } from "./run_files.ts";
import { whenListening } from "./when_listening.ts";

const log = logger("agent", "vmm");
/** Firecracker has a few MiB of its own; the rest is for page tables and for pages of files that it has just read. */
const OVERHEAD_MB = 64;
const ADOPT_TIMEOUT_MS = 3000;
const LOG_LINES = 20;
const MIB = 1 << 20;

const MARKS: VmmMarks = {
  runDirOf,
  isVmm: (program) => program.includes("firecracker") || program.includes("jailer"),
};

/** How to open a {@linkcode FirecrackerDriver}. */
export interface FirecrackerDriverOptions {
  /** The agent's data folder: jails are made in `jails/`, on the file system of disks and memory. */
  readonly dataDir: string;
  /** Guest kernel, an uncompressed ELF file that everybody may read. */
  readonly kernel: string;
  /** Its initramfs, which everybody may read. */
  readonly initrd: string;
  /** `WRENN_FIRECRACKER_BIN`; `/usr/local/bin/firecracker` by default. */
  readonly firecrackerBin?: string;
  /** Firecracker's jailer; `jailer` beside Firecracker by default. */
  readonly jailerBin?: string;
  /**
   * `jailer`: the production default. `namespace`: without a root folder of its own, for hosts that have no jailer or
   * a Firecracker that needs the host's libraries.
   */
  readonly jail: "jailer" | "namespace";
  /** Limits of every machine's disk and network; none by default. */
  readonly limits?: IoLimits;
  /** Calibrated rate of the host's time stamp counter in kHz; else `cpu MHz` of /proc/cpuinfo. */
  readonly tscKhz?: number;
  /** When a process that does not answer is ended. */
  readonly liveness?: LivenessTimes;
  /** What a process may need beside its guest's memory, MiB; 64 by default. */
  readonly overheadMb?: number;
}

/** What the driver works with. */
interface Parts {
  readonly host: FirecrackerHost;
  readonly programs: Programs;
  /** Name of the file of Firecracker. */
  readonly program: string;
  readonly jails: string;
  readonly settings: FirecrackerSettings;
  readonly kernelHash: string;
  readonly cgroups: Cgroups | undefined;
  readonly liveness: LivenessTimes | undefined;
  readonly overheadMb: number;
}

/** Firecracker, one process per virtual machine. */
export class FirecrackerDriver implements VmmDriver {
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Looks at the host.
   *
   * @throws {Error} With a sentence when Firecracker, its jailer or KVM is missing or of no use.
   */
  static async open(options: FirecrackerDriverOptions): Promise<FirecrackerDriver> {
    const host = await lookAtHost(options);
    const jails = `${options.dataDir}/jails`;
    await Deno.mkdir(jails, { recursive: true, mode: 0o700 });
    await checkHoles(jails);
    const { version, toldTscKhz, firecracker, jailer } = host;
    const settings: FirecrackerSettings = {
      ...DEFAULT_SETTINGS,
      ...(options.limits ? { limits: options.limits } : {}),
      clockRealtime: knowsClockRealtime(version),
      ...(toldTscKhz === undefined ? {} : { tscKhz: toldTscKhz }),
    };
    return new FirecrackerDriver({
      host,
      programs: { firecracker, jailer, logLevel: settings.logLevel },
      program: firecracker.slice(firecracker.lastIndexOf("/") + 1),
      jails,
      settings,
      kernelHash: await hashFile(options.kernel),
      cgroups: await Cgroups.open(),
      liveness: options.liveness,
      overheadMb: options.overheadMb ?? OVERHEAD_MB,
    });
  }

  /** `firecracker 1.15.1`. */
  get version(): string {
    return vmmName(this.#version);
  }

  /** Always KVM: Firecracker has nothing else. */
  get accelerator(): "kvm" {
    return "kvm";
  }

  /** What a snapshot made here depends on. */
  get environment(): SnapshotEnvironment {
    const { host, settings, kernelHash } = this.#parts;
    return {
      vmm: this.version,
      accelerator: this.accelerator,
      cpu_model: host.cpuModel,
      tsc_khz: host.tscKhz,
      kernel_hash: kernelHash,
      boot_line: firecrackerKernelLine([], settings),
    };
  }

  /**
   * Starts a machine and answers when its vCPUs run. On failure nothing is left behind.
   *
   * @throws {WrennError} `no_space`, else `internal`; the cause has the end of what Firecracker said.
   */
  async boot(spec: BootSpec): Promise<Vm> {
    return await this.#undone(spec, async (undo, said) => {
      const { kernel, initrd, disk, metrics } = JAILED;
      const calls = bootCalls(spec, { kernel, initrd, disk, metrics }, this.#parts.settings);
      await makeSparse(spec.memoryFile, spec.memoryMb * MIB);
      // Only now is it ours to remove.
      undo.add(() => removeFile(spec.memoryFile), "memory file");
      const started = await this.#start(spec, undo, said, async (jail) => {
        await jail.lend(spec.kernel, JAILED.kernel);
        await jail.lend(spec.initrd, JAILED.initrd);
        await jail.giveMemory(spec.memoryFile, spec.uid);
      });
      const configured = await started.fresh.configure(calls);
      undo.add(() => configured[Symbol.dispose](), "connection");
      const machine = await configured.start();
      undo.add(() => machine[Symbol.dispose](), "connection");
      return this.#vm(spec, { ...started, machine, booted: true });
    });
  }

  /**
   * Brings a machine back: Firecracker maps the base privately, or a copy of it that has what `fill` writes over it.
   * Its vCPUs stand still.
   *
   * @throws {WrennError} `no_space`, else `internal`; the cause has the end of what Firecracker said.
   */
  async restore(spec: RestoreSpec): Promise<Vm> {
    return await this.#undone(spec, async (undo, said) => {
      const { state, memory, metrics } = JAILED;
      const settings = { ...this.#parts.settings, trackDirtyPages: true };
      const { before, load, after } = restoreCalls(spec, { state, memory, metrics }, settings);
      const started = await this.#start(spec, undo, said, async (jail) => {
        await jail.giveState(spec.state, spec.uid);
        await jail.makeOutput("written", spec.uid, (await Deno.stat(spec.memoryBase)).size);
        await giveMemory(jail, spec);
      });
      for (const call of before) await started.fresh.setOutput(call);
      const machine = await started.fresh.load(load);
      undo.add(() => machine[Symbol.dispose](), "connection");
      for (const call of after) await machine.update(call);
      await started.jail.dropLoaded();
      return this.#vm(spec, { ...started, machine, booted: false });
    });
  }

  /** Takes over the machine of a dead agent; ends it and answers undefined when it cannot be controlled. */
  async adopt(spec: AdoptSpec): Promise<Vm | undefined> {
    const runRoot = runRootOf(spec);
    const found = (await findVmms(runRoot, MARKS)).find(({ runDir }) => runDir === spec.runDir);
    const jail = await JailFolder.find(this.#chroots(runRoot), spec.vmId);
    const cleanUp = new CleanupStack();
    this.#cleanUp(spec, jail, cleanUp);
    if (!found) {
      await cleanUp.run();
      return undefined;
    }
    const undo = new CleanupStack();
    try {
      const files = runFiles(spec.runDir);
      if (!jail) throw new Error("It has no jail");
      const machine = await openMachine(files.socket, { timeoutMs: ADOPT_TIMEOUT_MS });
      undo.add(() => machine[Symbol.dispose](), "connection");
      if (machine.phase === "fresh") throw new Error("It was not started to its end");
      const console = new PipeTail(files.console);
      undo.add(() => console[Symbol.dispose](), "console");
      const metrics = new PipeTail(jail.own("metrics"));
      undo.add(() => metrics[Symbol.dispose](), "metrics");
      const process = strangerHandle(found, MARKS);
      const { booted } = spec;
      return this.#vm(spec, { process, jail, console, metrics, cleanUp, machine, booted });
    } catch (error) {
      log.error("Cannot take over a machine, ending it", { vmId: spec.vmId, error });
      await undo.run();
      await killVmm(found, MARKS);
      await cleanUp.run();
      return undefined;
    }
  }

  /** Ends every Firecracker of ours whose run folder lies in `runRoot` and is not kept, and removes its jail. */
  async sweep(runRoot: string, keep: ReadonlySet<string>): Promise<number> {
    const root = runRoot.replace(/\/$/, "");
    const stale = (await findVmms(root, MARKS)).filter(({ runDir }) => !keep.has(runDir));
    const killed = await Promise.all(stale.map((vmm) => killVmm(vmm, MARKS)));
    const kept = new Set([...keep].map((runDir) => runDir.slice(runDir.lastIndexOf("/") + 1)));
    await this.#parts.cgroups?.sweep(root, kept);
    for (const jail of await JailFolder.all(this.#chroots(root))) {
      if (!kept.has(jail.vmId)) await jail.remove();
    }
    return killed.filter(Boolean).length;
  }

  get #version(): FirecrackerVersion {
    return this.#parts.host.version;
  }

  #chroots(runRoot: string): string {
    return `${this.#parts.jails}/${groupOf(runRoot)}`;
  }

  /** Runs a start; when it fails, undoes it and tells the end of what Firecracker said. */
  async #undone(
    spec: MachineSpec,
    work: (undo: CleanupStack, said: Said) => Promise<Vm>,
  ): Promise<Vm> {
    const undo = new CleanupStack();
    const said: Said = { text: () => "" };
    try {
      const vm = await work(undo, said);
      undo.keep();
      return vm;
    } catch (error) {
      const cause = fullDisk(error);
      await undo.run().catch((error: unknown) =>
        log.error("Cannot undo the start of {vmId}", { vmId: spec.vmId, error })
      );
      if (cause instanceof WrennError && cause.code !== "internal") throw cause;
      const tail = lastLines(said.text(), LOG_LINES);
      const reason = new Error(`Firecracker did not start: ${tail || "it said nothing"}`, {
        cause,
      });
      throw new WrennError("internal", "Cannot start the virtual machine", { cause: reason });
    }
  }

  async #start(
    spec: MachineSpec,
    undo: CleanupStack,
    said: Said,
    fill: (jail: JailFolder) => Promise<void>,
  ): Promise<Started> {
    await checkPrivate(spec.runDir);
    const files = runFiles(spec.runDir);
    const chroots = this.#chroots(runRootOf(spec));
    const cleanUp = new CleanupStack();
    undo.add(() => cleanUp.run(), "what the process has");
    const jail = await JailFolder.make(chroots, this.#parts.program, spec);
    const { cgroups, overheadMb } = this.#parts;
    this.#cleanUp(spec, jail, cleanUp);
    await jail.giveDisk(spec.disk, spec.uid);
    await jail.makeOutput("saved", spec.uid);
    await jail.makeMetrics(spec.uid);
    await fill(jail);
    makePipe(files.console);
    const console = new PipeTail(files.console);
    undo.add(() => console[Symbol.dispose](), "console");
    const metrics = new PipeTail(jail.own("metrics"));
    undo.add(() => metrics[Symbol.dispose](), "metrics");
    said.text = () => console.text;
    await Deno.symlink(jail.inside(files.jailedSocket), files.socket);
    const cgroup = await cgroups?.create(runRootOf(spec), spec.vmId, {
      vcpus: spec.vcpus,
      memoryMb: spec.memoryMb + overheadMb,
    });
    const how = { spec, jail, chroots, console: files.console, ...(cgroup ? { cgroup } : {}) };
    const process = childHandle(await launch(this.#parts.programs, how));
    undo.add(async () => {
      await process.kill();
      await process.ended;
      console.drain();
    }, "process");
    const fresh = await whenListening(files.socket, process);
    undo.add(() => fresh[Symbol.dispose](), "connection");
    return { process, jail, console, metrics, cleanUp, fresh };
  }

  #vm(spec: MachineSpec, started: Controlled): Vm {
    const { process, machine, jail, booted, console, metrics, cleanUp } = started;
    const { liveness } = this.#parts;
    const vm = new FirecrackerVm({
      ...{ vmId: spec.vmId, uid: spec.uid, process, machine, jail, booted, console, metrics },
      consoleLog: runFiles(spec.runDir).consoleLog,
      ...(liveness ? { liveness } : {}),
      cleanUp: () => cleanUp.run(),
    });
    log.debug("Machine {vmId} is process {pid}", { vmId: vm.vmId, pid: vm.pid });
    return vm;
  }

  /** What a process leaves when it ends. */
  #cleanUp(spec: MachineSpec, jail: JailFolder | undefined, cleanUp: CleanupStack): void {
    const { cgroups } = this.#parts;
    const files = runFiles(spec.runDir);
    if (jail) cleanUp.add(() => jail.remove(), "jail");
    if (cgroups) {
      const path = cgroups.pathOf(runRootOf(spec), spec.vmId);
      cleanUp.add(() => cgroups.remove(path), "cgroup");
    }
    cleanUp.add(() => removeFile(files.socket), "control socket");
    cleanUp.add(() => removeFile(files.console), "console");
  }
}

/** What a process has said so far. */
interface Said {
  text: () => string;
}

/** A process whose machine is started. */
type Controlled =
  & Pick<
    FirecrackerVmParts,
    "process" | "jail" | "console" | "metrics" | "machine" | "booted"
  >
  & { readonly cleanUp: CleanupStack };

/** A process that listens. */
type Started =
  & Pick<FirecrackerVmParts, "process" | "jail" | "console" | "metrics">
  & { readonly cleanUp: CleanupStack; readonly fresh: FreshMachine };

async function giveMemory(jail: JailFolder, spec: RestoreSpec): Promise<void> {
  if (!spec.fill) return await jail.lendMemory(spec.memoryBase);
  const copy = await jail.copyMemory(spec.memoryBase, spec.uid);
  using memory = filledMemory(copy, jail.own("written"));
  await spec.fill(memory);
}
