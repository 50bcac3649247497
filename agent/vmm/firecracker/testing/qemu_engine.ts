/**
 * QEMU as the engine behind the stand-in: its process, its control socket, its end. It has no vsock, no balloon and no
 * memory to plug in, a drive keeps its file, and limits of disk and network are taken without being held to.
 */
import { CommandError, delay, type RunCommand } from "@wrenn/common";
import { z } from "zod";
import type { Accelerator, HostFacts } from "../../../core/qemu_args.ts";
import { readQemuVersion, tscKhzOf } from "../../qemu/host_facts.ts";
import { QmpClient, QmpError } from "../../qemu/qmp.ts";
import { lastLines } from "../../tail.ts";
import type { BootSource } from "../api_types.ts";
import { EngineMemory } from "./engine_memory.ts";
import {
  engineArgs,
  engineKernelLine,
  engineName,
  type HostMachine,
  STATE_FD,
} from "./qemu_engine_args.ts";
import type {
  EngineHost,
  EngineMachine,
  EngineSnapshot,
  StandInEngine,
} from "./stand_in_engine.ts";
import { StandInFault } from "./stand_in_fault.ts";
import { HERE } from "./stand_in_files.ts";

const START_TIMEOUT_MS = 20_000;
const LOAD_TIMEOUT_MS = 60_000;
const POLL_MS = 5;
/** How long a TAP may still be held by a machine that was just killed. */
const BUSY_MS = 5000;
const BUSY_POLL_MS = 50;
const LAST_WORDS_MS = 500;
const MIB = 1 << 20;

/** Exit codes: the guest ended by itself, and QEMU did. */
const GUEST_ENDED = 0;
const ENGINE_FAILED = 1;

/**
 * Runs QEMU if the parent that the kernel will end it with is still there. A first line of the state, which is not
 * QEMU's, is read before.
 */
const SCRIPT = `[ "$PPID" = "$1" ] || exit 1
if [ -n "$2" ]; then exec ${STATE_FD}<"$2"; IFS= read -r line <&${STATE_FD}; fi
shift 2
exec "$@"`;

const runState = z.object({ status: z.string() });
const migration = z.object({ status: z.string().optional(), "error-desc": z.string().optional() });

/** A QEMU process that can be asked. */
interface Running {
  readonly pid: number;
  readonly qmp: QmpClient;
  readonly memoryBytes: number;
}

/** How to make one. */
export interface QemuEngineOptions {
  /** Name or path of `qemu-system-x86_64`. */
  readonly qemuBin: string;
  readonly accelerator: Accelerator;
}

/** QEMU `microvm` with Firecracker's devices, one process that ends with this one. */
export class QemuEngine implements StandInEngine {
  /** Version and accelerator. */
  readonly name: string;
  readonly #qemuBin: string;
  readonly #facts: HostFacts;
  readonly #host: EngineHost;
  readonly #ended = Promise.withResolvers<number>();
  #running: Running | undefined;
  #memory: EngineMemory | undefined;

  private constructor(qemuBin: string, facts: HostFacts, host: EngineHost) {
    this.name = engineName(facts);
    this.#qemuBin = qemuBin;
    this.#facts = facts;
    this.#host = host;
  }

  /** Looks at QEMU. @throws {Error} When there is none. */
  static async open(options: QemuEngineOptions, host: EngineHost): Promise<QemuEngine> {
    const { qemuBin, accelerator } = options;
    const version = await readQemuVersion(qemuBin, runHere);
    const tscKhz = tscKhzOf(await Deno.readTextFile("/proc/cpuinfo"));
    return new QemuEngine(qemuBin, { version, accelerator, tscKhz }, host);
  }

  /** Settles when the guest has ended. */
  get ended(): Promise<number> {
    return this.#ended.promise;
  }

  /** Boots a guest. */
  async start(machine: EngineMachine, boot: BootSource): Promise<void> {
    const { files } = this.#host;
    const line = engineKernelLine(boot, machine.drives, this.#facts);
    const initrd = boot.initrd_path;
    const running = await this.#launch(machine, "boot", [
      ...["-kernel", await files.hostPath(boot.kernel_image_path), "-append", line],
      ...(initrd === undefined ? [] : ["-initrd", await files.hostPath(initrd)]),
    ]);
    this.#memory = EngineMemory.booted(await region(running));
  }

  /** Continues from a snapshot. */
  async load(machine: EngineMachine, from: EngineSnapshot): Promise<void> {
    const running = await this.#launch(machine, "restore", [], from.state);
    this.#memory = await EngineMemory.filled(await region(running), from.memory);
    await loadState(running.qmp);
  }

  /** Stops the vCPUs. */
  async pause(): Promise<void> {
    await this.#command("stop", "paused");
  }

  /** Lets the vCPUs run. */
  async resume(): Promise<void> {
    await this.#command("cont", "running");
  }

  /** Presses the keys. */
  async sendCtrlAltDel(): Promise<void> {
    const keys = ["ctrl", "alt", "delete"].map((data) => ({ type: "qcode", data }));
    await this.#ask((qmp) => qmp.execute("send-key", { keys }));
  }

  /** Lets QEMU write the state to a file, and reads it. */
  async saveState(path: string): Promise<Uint8Array<ArrayBuffer>> {
    await this.#ask((qmp) =>
      qmp.execute("xen-save-devices-state", { filename: path, live: false })
    );
    return await Deno.readFile(path);
  }

  /** Writes memory. */
  async writeMemory(file: Deno.FsFile, kind: "Full" | "Diff"): Promise<void> {
    if (!this.#memory) throw new StandInFault("There is no guest");
    await this.#memory.write(file, kind);
  }

  async #command(command: "stop" | "cont", expected: string): Promise<void> {
    const { status } = runState.parse(
      await this.#ask(async (qmp) => {
        await qmp.execute(command);
        return await qmp.execute("query-status");
      }),
    );
    if (status !== expected) throw new StandInFault(`The guest is '${status}'`);
  }

  async #ask<T>(question: (qmp: QmpClient) => Promise<T>): Promise<T> {
    if (!this.#running) throw new StandInFault("There is no guest");
    try {
      return await question(this.#running.qmp);
    } catch (error) {
      if (error instanceof QmpError) throw new StandInFault(`The engine failed: ${error.message}`);
      throw error;
    }
  }

  async #launch(
    machine: EngineMachine,
    start: "boot" | "restore",
    more: readonly string[],
    statePath?: string,
  ): Promise<Running> {
    const socket = `wrenn-engine-${crypto.randomUUID()}`;
    const args = [...engineArgs(this.#facts, await this.#onHost(machine), socket, start), ...more];
    const deadline = performance.now() + BUSY_MS;
    for (;;) {
      try {
        const running = await this.#spawn(args, socket, machine, statePath);
        this.#running = running;
        return running;
      } catch (error) {
        const busy = String(error).includes("Device or resource busy");
        if (!busy || performance.now() > deadline) throw error;
        await delay(BUSY_POLL_MS);
      }
    }
  }

  async #spawn(
    args: readonly string[],
    socket: string,
    machine: EngineMachine,
    statePath: string | undefined,
  ): Promise<Running> {
    const chain = ["--pdeathsig", "KILL", "--", "/bin/sh", "-euc", SCRIPT, "stand-in"];
    const child = new Deno.Command("setpriv", {
      args: [...chain, String(Deno.pid), statePath ?? "", this.#qemuBin, ...args],
      cwd: HERE,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const failure = Promise.withResolvers<never>();
    failure.promise.catch(() => {});
    const stop = new AbortController();
    const watched = Promise.all([child.status, this.#show(child.stdout), lastWords(child.stderr)]);
    watched.then(([status, _, words]) => {
      const how = status.signal ?? `code ${status.code}`;
      failure.reject(new StandInFault(`Start microvm error: QEMU ended with ${how}: ${words}`));
      stop.abort();
    });
    let qmp: QmpClient | undefined;
    try {
      qmp = await Promise.race([connect(`\0${socket}`, stop.signal), failure.promise]);
      await Promise.race([qmp.execute("query-status"), failure.promise]);
    } catch (error) {
      // Its last words come a moment after its socket is closed.
      await Promise.race([watched, delay(LAST_WORDS_MS)]);
      if (!stop.signal.aborted) child.kill("SIGKILL");
      await watched;
      await qmp?.[Symbol.asyncDispose]();
      throw error instanceof QmpError ? await failure.promise : error;
    }
    watched.then(([{ code, signal }]) =>
      this.#ended.resolve(code === 0 && signal === null ? GUEST_ENDED : ENGINE_FAILED)
    );
    return { pid: child.pid, qmp, memoryBytes: machine.machine.mem_size_mib * MIB };
  }

  async #show(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const bytes of stdout) await this.#host.console.print(bytes);
  }

  async #onHost(machine: EngineMachine): Promise<HostMachine> {
    const drives = machine.drives.map(async (drive) => {
      const path_on_host = await this.#host.files.hostPath(drive.path_on_host);
      const { isBlockDevice } = await Deno.stat(path_on_host);
      return { ...drive, path_on_host, block: isBlockDevice === true };
    });
    return { ...machine, drives: await Promise.all(drives) };
  }
}

/** Where the guest's memory lies in QEMU's. */
async function region(running: Running): Promise<{ pid: number; start: number; bytes: number }> {
  const told = z.string().parse(
    await running.qmp.execute("human-monitor-command", { "command-line": "gpa2hva 0" }),
  );
  const start = Number(/ is (0x[0-9a-f]+)/.exec(told)?.[1]);
  if (!Number.isSafeInteger(start)) throw new Error(`QEMU tells no address of memory: ${told}`);
  return { pid: running.pid, start, bytes: running.memoryBytes };
}

/** Loads the state of CPUs and devices from the descriptor that QEMU was started with. */
async function loadState(qmp: QmpClient): Promise<void> {
  await qmp.execute("migrate-set-parameters", { "announce-rounds": 0 });
  await qmp.execute("migrate-incoming", { uri: `fd:${STATE_FD}` });
  const deadline = performance.now() + LOAD_TIMEOUT_MS;
  for (;;) {
    const seen = migration.parse(await qmp.execute("query-migrate"));
    if (seen.status === "completed") return;
    if (seen.status === "failed" || performance.now() > deadline) {
      const why = seen["error-desc"] ?? seen.status;
      throw new StandInFault(`Load snapshot error: Failed to restore from snapshot: ${why}`);
    }
    await delay(POLL_MS);
  }
}

async function connect(path: string, signal: AbortSignal): Promise<QmpClient> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      return await QmpClient.connect(path, { signal });
    } catch (error) {
      const absent = error instanceof Deno.errors.ConnectionRefused;
      if (!absent || performance.now() > deadline) throw error;
    }
    await delay(POLL_MS, signal);
  }
}

/** Runs a program where this process is, although others may not enter the folders that lead there. */
const runHere: RunCommand = async (argv) => {
  const [program, ...args] = argv;
  const { code, stdout, stderr } = await new Deno.Command(program, { args, cwd: HERE }).output();
  const [out = "", error = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  const result = { code, stdout: out, stderr: error };
  if (code !== 0) throw new CommandError(argv, result);
  return result;
};

/** Reads to the end and keeps what is worth telling. */
async function lastWords(stream: ReadableStream<Uint8Array>): Promise<string> {
  let words = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    words = (words + text).slice(-4000);
  }
  return lastLines(words, 3);
}
