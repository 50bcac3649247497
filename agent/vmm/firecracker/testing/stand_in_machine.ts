/**
 * The stand-in: a Firecracker without a guest. It takes what the table of calls allows, when the table allows it, and
 * refuses all else, in doubt also what Firecracker would take.
 */
import { Turns } from "@wrenn/common/turns";
import type { SnapshotCreate, SnapshotLoad } from "../api_types.ts";
import type { InstanceInfo } from "../instance_info.ts";
import { readCall, type StandInCall } from "./stand_in_calls.ts";
import { StandInConfig } from "./stand_in_config.ts";
import { LOAD_NOT_ALLOWED, POST_BOOT, PRE_BOOT, StandInFault } from "./stand_in_fault.ts";
import { checkCreates, checkOpens } from "./stand_in_files.ts";
import { readSnapshot, STAND_IN_VERSION, writeSnapshot } from "./stand_in_snapshot.ts";

/** What a stand-in is told at its start. */
export interface StandInOptions {
  /** `--id`. */
  readonly id: string;
  /** `--metrics-path`. */
  readonly metricsPath?: string | undefined;
  /** TAPs that count as there although the host has none: for tests without root. */
  readonly lentTaps?: ReadonlySet<string>;
  /** Takes what the guest's console would say. */
  readonly console?: (text: string) => void;
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
  readonly #config: StandInConfig;
  #state: InstanceInfo["state"] = "Not started";
  #fresh = true;
  #metricsPath: string | undefined;
  #serialPath: string | undefined;
  #full: string | undefined;
  readonly #turns = new Turns();

  /** @param options What the command line says. */
  constructor(options: StandInOptions) {
    this.#options = options;
    this.#config = new StandInConfig(options.lentTaps ?? new Set());
    this.#metricsPath = options.metricsPath;
  }

  /** Answers a request; one after the other, as Firecracker does. Never rejects. */
  answer(method: string, path: string, body: string): Promise<StandInAnswer> {
    return this.#turns.take(() => this.#answer(method, path, body));
  }

  /** Closes what the machine holds open. */
  [Symbol.dispose](): void {
    this.#config[Symbol.dispose]();
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
        return await config.patchDrive(call.body);
      case "PUT /network-interfaces/":
        return await config.setInterface(call.body);
      case "PATCH /network-interfaces/":
        return config.patchInterface(call.body);
      case "PUT /vsock":
        return await config.setVsock(call.body);
      case "PUT /entropy":
        return;
      case "PUT /balloon":
        return config.setBalloon(call.body);
      case "PUT /mmds/config":
        return config.setMmds(call.body);
      case "PUT /hotplug/memory":
        return config.setHotplug(call.body);
      case "PATCH /hotplug/memory":
        return config.plug(call.body.requested_size_mib);
      case "PUT /logger":
        if (call.body.log_path) await checkOpens(call.body.log_path, "output", "write");
        return;
      case "PUT /metrics":
        return await this.#setMetrics(call.body.metrics_path);
      case "PUT /serial":
        await checkOpens(call.body.serial_out_path, "output", "write");
        this.#serialPath = call.body.serial_out_path;
        return;
      case "PUT /actions":
        return await this.#act(call.body.action_type);
      case "PATCH /vm":
        this.#state = call.body.state === "Paused" ? "Paused" : "Running";
        return;
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
    await checkOpens(path, "output", "write");
    this.#metricsPath = path;
  }

  async #act(
    action: "InstanceStart" | "FlushMetrics" | "SendCtrlAltDel",
  ): Promise<number | undefined> {
    switch (action) {
      case "InstanceStart":
        await this.#config.checkStarts();
        this.#state = "Running";
        await this.#say(`Command line: ${this.#config.bootArgs}`);
        return undefined;
      case "FlushMetrics":
        if (this.#metricsPath === undefined) throw new StandInFault("Nowhere to write metrics to");
        await append(this.#metricsPath, JSON.stringify({ utc_timestamp_ms: Date.now() }));
        return undefined;
      case "SendCtrlAltDel":
        // A guest that stands still would see the keys when it goes on.
        if (this.#state !== "Running") throw new StandInFault("Nobody sees the keys");
        await this.#say("reboot: Restarting system");
        return 0;
    }
  }

  /** What a guest would say on its console. */
  async #say(text: string): Promise<void> {
    if (this.#serialPath !== undefined) await append(this.#serialPath, text);
    else this.#options.console?.(`${text}\n`);
  }

  async #create(body: SnapshotCreate): Promise<void> {
    const kind = body.snapshot_type ?? "Full";
    if (this.#state !== "Paused") throw new StandInFault("Create snapshot error: not paused");
    if (kind === "Diff" && !this.#config.machine.track_dirty_pages) {
      throw new StandInFault("Create snapshot error: dirty pages are not tracked");
    }
    if (body.snapshot_path === body.mem_file_path) throw new StandInFault("Two files at one path");
    const machine = this.#config.saved();
    await checkCreates(body.snapshot_path);
    await checkCreates(body.mem_file_path);
    const last = crypto.randomUUID();
    // A machine whose whole memory was never written has a page that no snapshot holds yet.
    const full = kind === "Full" ? crypto.randomUUID() : this.#full ?? crypto.randomUUID();
    const content = { vmm_version: STAND_IN_VERSION, ...machine, full, last };
    await writeSnapshot(body.snapshot_path, body.mem_file_path, content, kind);
    this.#full = full;
  }

  /** A snapshot that does not load ends the process, whose state nobody knows. */
  async #load(body: SnapshotLoad): Promise<void> {
    try {
      const memory = body.mem_backend.backend_path;
      await checkOpens(body.snapshot_path, "file", "read");
      await checkOpens(memory, "file", "read");
      const content = await readSnapshot(body.snapshot_path, memory);
      await this.#config.restore(
        content,
        body.network_overrides ?? [],
        body.track_dirty_pages ?? false,
      );
      this.#full = content.full;
      this.#state = body.resume_vm ? "Running" : "Paused";
    } catch (error) {
      throw error instanceof StandInFault ? new StandInFault(error.message, true) : error;
    }
  }
}

async function append(path: string, line: string): Promise<void> {
  await Deno.writeTextFile(path, `${line}\n`, { append: true, create: false });
}
