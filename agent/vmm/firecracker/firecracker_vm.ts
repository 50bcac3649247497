/** A running Firecracker process: its API, its end, its memory as files, its figures. */
import { logger, Turns, WrennError } from "@wrenn/common";
import { z } from "zod";
import type { PageRun } from "../../core/memory_pages.ts";
import { JAILED } from "../../core/firecracker_jail.ts";
import type { ExitInfo, GuestMemory, Vm, VmStats } from "../driver.ts";
import { readStats } from "../process_identity.ts";
import { lastLines } from "../tail.ts";
import type { VmmHandle } from "../vmm_handle.ts";
import { FirecrackerError } from "./firecracker_error.ts";
import { fullDisk } from "./full_disk.ts";
import type { JailFolder } from "./jail_folder.ts";
import { LIVENESS, type LivenessTimes, watchLiveness } from "./liveness.ts";
import { digHoles, layeredMemory, pagesWithData } from "./memory_files.ts";
import type { PipeTail } from "./pipe_tail.ts";
import type { PausedMachine, RunningMachine } from "./started_machine.ts";

const log = logger("agent", "vmm");
const TAIL_LINES = 40;
const DRAIN_MS = 1000;
/** Stopping vCPUs takes milliseconds, but not on a host that emulates them. */
const PHASE_TIMEOUT_MS = 30_000;
/** A device state has some tens of KiB; Firecracker is not trusted with more. */
const MAX_STATE_BYTES = 16 << 20;

const metricsLine = z.record(z.string(), z.unknown());

/** Firecracker's figures as it writes them: groups of counters since its start, by device and part. */
export type FirecrackerMetrics = Readonly<Record<string, unknown>>;

/** What a {@linkcode FirecrackerVm} is made of. */
export interface FirecrackerVmParts {
  readonly vmId: string;
  readonly uid: number;
  readonly process: VmmHandle;
  readonly machine: RunningMachine | PausedMachine;
  readonly jail: JailFolder;
  /** True for a machine that was booted: a snapshot writes its whole memory. */
  readonly booted: boolean;
  /** What it and its guest print. */
  readonly console: PipeTail;
  readonly metrics: PipeTail;
  /** File that takes the console's end. */
  readonly consoleLog: string;
  readonly liveness?: LivenessTimes;
  /** Removes what the driver made for the process; called once, after it has ended. */
  readonly cleanUp: () => Promise<void>;
}

/** One virtual machine under Firecracker. */
export class FirecrackerVm implements Vm {
  /** The id given at its start. */
  readonly vmId: string;
  /** Firecracker's process id. */
  readonly pid: number;
  /** Settles when Firecracker has ended and what it had is removed. */
  readonly exited: Promise<ExitInfo>;
  /** Firecracker knows one block device. */
  readonly layers: undefined = undefined;
  readonly #parts: FirecrackerVmParts;
  readonly #turns = new Turns();
  readonly #drainTimer: ReturnType<typeof setInterval>;
  readonly #liveness: Disposable;
  #machine: RunningMachine | PausedMachine;
  /** State of this standstill; its memory is in the files then. */
  #saved: Uint8Array<ArrayBuffer> | undefined;
  #ended = false;
  #ending = false;

  /** @param parts A process that can be controlled. */
  constructor(parts: FirecrackerVmParts) {
    this.#parts = parts;
    this.#machine = parts.machine;
    this.vmId = parts.vmId;
    this.pid = parts.process.pid;
    this.#drainTimer = setInterval(() => this.#drain(), DRAIN_MS);
    Deno.unrefTimer(Number(this.#drainTimer));
    this.#liveness = watchLiveness(
      parts.liveness ?? LIVENESS,
      (timeoutMs) => this.#turns.take(async () => void await this.#machine.info({ timeoutMs })),
      (error) => this.#giveUp("it does not answer", error),
    );
    this.exited = this.#watch();
  }

  /** Stops the vCPUs. */
  async pause(): Promise<void> {
    await this.#ask(async () => {
      const machine = this.#machine;
      if (machine.phase === "running") {
        this.#machine = await machine.pause({ timeoutMs: PHASE_TIMEOUT_MS });
      }
    });
  }

  /** Lets the vCPUs run. */
  async resume(): Promise<void> {
    await this.#ask(async () => {
      const machine = this.#machine;
      if (machine.phase === "running") return;
      this.#saved = undefined;
      this.#machine = await machine.resume({ timeoutMs: PHASE_TIMEOUT_MS });
    });
  }

  /** Whether the vCPUs run. */
  async running(): Promise<boolean> {
    return await this.#ask(async () => (await this.#machine.info()).state === "Running");
  }

  /**
   * The state of CPUs and devices. Firecracker writes the memory with it: all of it to the memory file of a machine
   * that was booted, else the pages written since the last time over those written before.
   */
  async saveState(): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#ask(() => this.#snapshot());
  }

  /** The memory, for reading; it is saved for this if it was not yet. */
  async memory(): Promise<GuestMemory> {
    return await this.#ask(async () => {
      await this.#snapshot();
      const { jail, booted } = this.#parts;
      return layeredMemory(jail.own("base"), booted ? undefined : jail.own("written"));
    });
  }

  /** Pages that the guest, or the snapshots it came from, have over its base; undefined when it was booted. */
  async writtenPages(): Promise<PageRun[] | undefined> {
    if (this.#parts.booted) return undefined;
    return await this.#ask(async () => {
      await this.#snapshot();
      return pagesWithData(this.#parts.jail.own("written"));
    });
  }

  /** Firecracker's figures as of now. @throws {WrennError} As everything here does. */
  async metrics(): Promise<FirecrackerMetrics> {
    return await this.#ask(async () => {
      await this.#machine.flushMetrics();
      this.#parts.metrics.drain();
      const line = lastMetrics(this.#parts.metrics.text);
      if (line === undefined) throw new Error("Firecracker wrote no figures");
      return line;
    });
  }

  /** Ends the process. A guest whose disk matters was asked to sync it before. */
  async kill(): Promise<void> {
    this.#ending = true;
    if (!this.#ended) await this.#parts.process.kill();
    await this.exited;
  }

  /** Figures from /proc. All zero when the process has ended. */
  async stats(): Promise<VmStats> {
    return await readStats(this.#ended ? undefined : this.pid);
  }

  /** Saves state and memory, once in a standstill. */
  async #snapshot(): Promise<Uint8Array<ArrayBuffer>> {
    const machine = this.#machine;
    if (machine.phase === "running") throw new Error("The vCPUs run");
    this.#saved ??= await this.#create(machine);
    return this.#saved;
  }

  async #create(machine: PausedMachine): Promise<Uint8Array<ArrayBuffer>> {
    const { jail, booted, uid } = this.#parts;
    if (booted) {
      await jail.unsealMemory(uid);
      await machine.createSnapshot({
        snapshot_path: JAILED.saved,
        mem_file_path: JAILED.memory,
        snapshot_type: "Full",
      });
      await jail.sealMemory();
      await digHoles(jail.own("base"));
    } else {
      await machine.createSnapshot({
        snapshot_path: JAILED.saved,
        mem_file_path: JAILED.written,
        snapshot_type: "Diff",
      });
    }
    const { size } = await Deno.lstat(jail.own("saved"));
    if (size === 0 || size > MAX_STATE_BYTES) {
      throw new Error(`Firecracker wrote ${size} bytes of state`);
    }
    return await Deno.readFile(jail.own("saved"));
  }

  /** Asks Firecracker, one question at a time. @throws {WrennError} `sandbox_not_running`, `no_space`, else `internal`. */
  async #ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await this.#turns.take(async () => {
        if (this.#ended || this.#ending) throw new Error("It has ended");
        return await question();
      });
    } catch (cause) {
      if (this.#ended || this.#ending) {
        throw new WrennError("sandbox_not_running", "The virtual machine has ended", { cause });
      }
      const known = fullDisk(cause);
      if (known instanceof WrennError) throw known;
      // What became of the call is not known: whether the vCPUs run, and which pages are saved.
      if (cause instanceof FirecrackerError && cause.failure !== "refused") {
        this.#giveUp("it cannot be controlled", cause);
      }
      throw new WrennError("internal", "Cannot control the virtual machine", { cause });
    }
  }

  #giveUp(why: string, error: unknown): void {
    if (this.#ended || this.#ending) return;
    this.#ending = true;
    log.error("Ending {vmId}: {why}", { vmId: this.vmId, why, error });
    void this.#parts.process.kill();
  }

  #drain(): void {
    try {
      this.#parts.console.drain();
      this.#parts.metrics.drain();
    } catch (error) {
      log.warn("Cannot read what {vmId} prints: {error}", { vmId: this.vmId, error });
    }
  }

  async #watch(): Promise<ExitInfo> {
    const { process, console, metrics, consoleLog, cleanUp, vmId } = this.#parts;
    const end = await process.ended;
    this.#ended = true;
    this.#liveness[Symbol.dispose]();
    clearInterval(this.#drainTimer);
    this.#drain();
    const text = console.text;
    log.debug("{vmId} ended", { vmId, ...end, metrics: lastMetrics(metrics.text) });
    try {
      console[Symbol.dispose]();
      metrics[Symbol.dispose]();
      this.#machine[Symbol.dispose]();
      await Deno.writeTextFile(consoleLog, text, { mode: 0o600 });
      await cleanUp();
    } catch (error) {
      log.error("Cannot clear up behind {vmId}: {error}", { vmId, error });
    }
    return { ...end, tail: lastLines(text, TAIL_LINES) };
  }
}

/** The last whole line of figures. */
function lastMetrics(text: string): FirecrackerMetrics | undefined {
  for (const line of text.split("\n").slice(0, -1).reverse()) {
    try {
      return metricsLine.parse(JSON.parse(line));
    } catch {
      // Cut at its beginning, or lost in part because the pipe was full.
    }
  }
  return undefined;
}
