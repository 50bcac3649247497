/**
 * The stand-in: a Firecracker whose guest, if it has one, runs in an engine. It takes what the table of calls allows, when the table allows it, and
 * refuses all else, in doubt also what Firecracker would take.
 */
import { Turns } from "@wrenn/common/turns";
import type { SnapshotCreate, SnapshotLoad } from "../api_types.ts";
import type { InstanceInfo } from "../instance_info.ts";
import { readCall, type StandInCall } from "./stand_in_calls.ts";
import { StandInConfig } from "./stand_in_config.ts";
import { LOAD_NOT_ALLOWED, POST_BOOT, PRE_BOOT, StandInFault } from "./stand_in_fault.ts";
import { StandInConsole } from "./stand_in_console.ts";
import type { StandInEngine } from "./stand_in_engine.ts";
import { StandInFiles } from "./stand_in_files.ts";
import {
  openMemoryFile,
  readSnapshot,
  STAND_IN_VERSION,
  writeMarks,
  writeState,
} from "./stand_in_snapshot.ts";

/** What a stand-in is told at its start. */
export interface StandInOptions {
  /** `--id`. */
  readonly id: string;
  /** `--metrics-path`. */
  readonly metricsPath?: string | undefined;
  /** TAPs that count as there although the host has none: for tests without root. */
  readonly lentTaps?: ReadonlySet<string>;
  /** What paths name; the host's files by default. */
  readonly files?: StandInFiles;
  /** Takes what the guest's console says. */
  readonly console?: StandInConsole;
  /** Runs the guest; there is none without. */
  readonly engine?: StandInEngine | undefined;
}

/** An answer, and what becomes of the process after it. */
export interface StandInAnswer {
  readonly status: 200 | 204 | 400 | 500;
  /** JSON; absent for 204. */
  readonly body?: object;
  /** Exit code with which the process ends. */
  readonly exit?: number;
}

/** Calls that may come before a snapshot is loaded. */
const NOT_DESCRIBING = ["PUT /logger", "PUT /metrics", "PUT /snapshot/load"];

/** One machine. */
export class StandInMachine implements Disposable {
  readonly #options: StandInOptions;
  readonly #files: StandInFiles;
  readonly #console: StandInConsole;
  readonly #config: StandInConfig;
  #state: InstanceInfo["state"] = "Not started";
  #fresh = true;
  #metricsPath: string | undefined;
  #full: string | undefined;
  readonly #turns = new Turns();

  /** @param options What the command line says. */
  constructor(options: StandInOptions) {
    this.#options = options;
    this.#files = options.files ?? new StandInFiles();
    this.#console = options.console ?? new StandInConsole(this.#files);
    this.#config = new StandInConfig(this.#files, options.lentTaps ?? new Set());
    this.#metricsPath = options.metricsPath;
  }

  /** Answers a request; one after the other, as Firecracker does. Never rejects. */
  answer(method: string, path: string, body: string): Promise<StandInAnswer> {
    return this.#turns.take(() => this.#answer(method, path, body));
  }

  /** Closes what the machine holds open. */
  [Symbol.dispose](): void {
    this.#config[Symbol.dispose]();
    this.#console[Symbol.dispose]();
  }

  async #answer(method: string, path: string, text: string): Promise<StandInAnswer> {
    try {
      const call = readCall(method, path, text);
      if (call.name === "info") return { status: 200, body: this.#info() };
      const started = this.#state !== "Not started";
      if (call.when === "before" && started) throw new StandInFault(POST_BOOT);
      if (call.when === "after" && !started) throw new StandInFault(PRE_BOOT);
      const exit = await this.#perform(call);
      return { status: 204, ...(exit === undefined ? {} : { exit }) };
    } catch (error) {
      if (!(error instanceof StandInFault)) {
        return { status: 500, body: { fault_message: `The stand-in is broken: ${error}` } };
      }
      const body = { fault_message: error.message };
      return { status: 400, body, ...(error.ends ? { exit: 1 } : {}) };
    }
  }

  #info(): InstanceInfo {
    return {
      id: this.#options.id,
      state: this.#state,
      vmm_version: STAND_IN_VERSION,
      app_name: "Firecracker",
    };
  }

  /** Answers the exit code when the machine ends. */
  async #perform(call: Exclude<StandInCall, { name: "info" }>): Promise<number | void> {
    const config = this.#config;
    const fresh = this.#fresh;
    // Firecracker counts the attempt, whether it succeeds or not.
    if (call.when === "before" && !NOT_DESCRIBING.includes(call.name)) this.#fresh = false;
    switch (call.name) {
      case "PUT /boot-source":
        return await config.setBoot(call.body);
      case "PUT /machine-config":
        return config.setMachine(call.body);
      case "PUT /drives/":
        return await config.setDrive(call.body);
      case "PATCH /drives/":
        if (this.#options.engine && call.body.path_on_host !== undefined) {
          throw new StandInFault("The stand-in's engine keeps the files of its drives");
        }
        return await config.patchDrive(call.body);
      case "PUT /network-interfaces/":
        return await config.setInterface(call.body);
      case "PATCH /network-interfaces/":
        return config.patchInterface(call.body);
      case "PUT /vsock":
        return await config.setVsock(call.body);
      case "PUT /entropy":
        return config.setEntropy();
      case "PUT /balloon":
        return config.setBalloon(call.body);
      case "PUT /mmds/config":
        return config.setMmds(call.body);
      case "PUT /hotplug/memory":
        return config.setHotplug(call.body);
      case "PATCH /hotplug/memory":
        return config.plug(call.body.requested_size_mib);
      case "PUT /logger":
        if (call.body.log_path !== undefined) {
          await this.#files.checkOpens(call.body.log_path, "output", "write");
        }
        return;
      case "PUT /metrics":
        return await this.#setMetrics(call.body.metrics_path);
      case "PUT /serial":
        return await this.#console.useFile(call.body.serial_out_path);
      case "PUT /actions":
        return await this.#act(call.body.action_type);
      case "PATCH /vm":
        return await this.#setRunning(call.body.state === "Resumed");
      case "PUT /snapshot/create":
        return await this.#create(call.body);
      case "PUT /snapshot/load":
        if (!fresh) throw new StandInFault(LOAD_NOT_ALLOWED);
        return await this.#load(call.body);
    }
  }

  async #setMetrics(path: string): Promise<void> {
    if (this.#metricsPath !== undefined) {
      throw new StandInFault("Metrics error: The metrics are initialized already");
    }
    await this.#files.checkOpens(path, "output", "write");
    this.#metricsPath = path;
  }

  async #act(
    action: "InstanceStart" | "FlushMetrics" | "SendCtrlAltDel",
  ): Promise<number | undefined> {
    switch (action) {
      case "InstanceStart":
        await this.#start();
        return undefined;
      case "FlushMetrics":
        if (this.#metricsPath === undefined) throw new StandInFault("Nowhere to write metrics to");
        await append(
          await this.#files.hostPath(this.#metricsPath),
          JSON.stringify({ utc_timestamp_ms: Date.now() }),
        );
        return undefined;
      case "SendCtrlAltDel":
        // A guest that stands still would see the keys when it goes on.
        if (this.#state !== "Running") throw new StandInFault("Nobody sees the keys");
        if (this.#options.engine) return void await this.#options.engine.sendCtrlAltDel();
        await this.#say("reboot: Restarting system");
        return 0;
    }
  }

  async #start(): Promise<void> {
    const boot = await this.#config.checkStarts();
    const { engine } = this.#options;
    if (engine) await engine.start(this.#config.engineMachine(), boot);
    else await this.#say(`Command line: ${boot.boot_args ?? ""}`);
    this.#state = "Running";
  }

  async #setRunning(running: boolean): Promise<void> {
    if (running) await this.#options.engine?.resume();
    else await this.#options.engine?.pause();
    this.#state = running ? "Running" : "Paused";
  }

  /** What a guest would say on its console. */
  async #say(text: string): Promise<void> {
    await this.#console.print(new TextEncoder().encode(`${text}\n`));
  }

  async #create(body: SnapshotCreate): Promise<void> {
    const kind = body.snapshot_type ?? "Full";
    if (this.#state !== "Paused") throw new StandInFault("Create snapshot error: not paused");
    if (kind === "Diff" && !this.#config.machine.track_dirty_pages) {
      throw new StandInFault("Create snapshot error: dirty pages are not tracked");
    }
    if (body.snapshot_path === body.mem_file_path) throw new StandInFault("Two files at one path");
    const machine = this.#config.saved();
    await this.#files.checkCreates(body.snapshot_path);
    await this.#files.checkCreates(body.mem_file_path);
    const content = { vmm_version: STAND_IN_VERSION, ...machine };
    const statePath = await this.#files.hostPath(body.snapshot_path);
    const memoryPath = await this.#files.hostPath(body.mem_file_path);
    using memory = await openMemoryFile(memoryPath, content.machine);
    const { engine } = this.#options;
    if (engine) {
      await engine.writeMemory(memory, kind);
      const devices = await engine.saveState(statePath);
      return await writeState(statePath, { ...content, engine: engine.name }, devices);
    }
    // A machine whose whole memory was never written has a page that no snapshot holds yet.
    const full = kind === "Full" ? crypto.randomUUID() : this.#full ?? crypto.randomUUID();
    const marks = { full, last: crypto.randomUUID() };
    await writeMarks(memory, marks, kind);
    await writeState(statePath, { ...content, marks });
    this.#full = full;
  }

  /** A snapshot that does not load ends the process, whose state nobody knows. */
  async #load(body: SnapshotLoad): Promise<void> {
    try {
      const { snapshot_path, mem_backend: { backend_path } } = body;
      await this.#files.checkOpens(snapshot_path, "file", "read");
      await this.#files.checkOpens(backend_path, "file", "read");
      const state = await this.#files.hostPath(snapshot_path);
      const memory = await this.#files.hostPath(backend_path);
      const { engine } = this.#options;
      const content = await readSnapshot(state, memory, engine?.name);
      await this.#config.restore(
        content,
        body.network_overrides ?? [],
        body.track_dirty_pages ?? false,
      );
      this.#full = content.marks?.full;
      await engine?.load(this.#config.engineMachine(), { state, memory });
      await this.#setRunning(body.resume_vm ?? false);
    } catch (error) {
      throw error instanceof StandInFault ? new StandInFault(error.message, true) : error;
    }
  }
}

async function append(path: string, line: string): Promise<void> {
  await Deno.writeTextFile(path, `${line}\n`, { append: true, create: false });
}
