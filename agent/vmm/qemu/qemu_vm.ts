/** A running QEMU process: its control socket, its end, its figures. */
import { delay, logger, WrennError } from "@wrenn/common";
import { z } from "zod";
import type { PageRun } from "../../core/memory_pages.ts";
import { CONSOLE_BYTES, CONSOLE_DEVICE, type RunFiles, STATE_FILE } from "../../core/qemu_args.ts";
import type { LayerControl } from "../../rootfs/store.ts";
import type { ExitInfo, GuestMemory, Vm, VmStats } from "../driver.ts";
import { type MemoryRegion, openMemory, writtenPages } from "./guest_memory.ts";
import { readStats } from "../process_identity.ts";
import { QemuDisk } from "./qemu_disk.ts";
import type { QmpClient, QmpEvent } from "./qmp.ts";
import { fileTail, lastLines } from "../tail.ts";
import type { VmmHandle } from "../vmm_handle.ts";

const log = logger("agent", "vmm");
const TAIL_LINES = 40;
/** A process whose control socket does not answer is killed after this time. */
const QUIT_MS = 1000;
/** So long a process takes to go whose guest has ended, on a slow host: nothing runs in it any more. */
const LEAVE_MS = 15_000;
const CONSOLE_MS = 500;
/** What QEMU prints is cut when it is longer: a hostile guest can make it complain for ever. */
const MAX_LOG_BYTES = 1 << 20;
const LOG_CHECK_MS = 10_000;
/** A device state has some 20 KiB; QEMU is not trusted with more. */
const MAX_STATE_BYTES = 16 << 20;

/** How long a machine that waits for room on the disk does so before it tries again. */
const ROOM_RETRY_MS = 1000;
/** How often the log is told that it waits. */
const ROOM_TELL_MS = 60_000;

/** State of a machine that QEMU stopped at a write for which there was no room. */
const WAITS_FOR_ROOM = "io-error";

const runState = z.object({ status: z.string(), running: z.boolean() });

/** What a {@linkcode QemuVm} is made of. */
export interface QemuVmParts {
  readonly vmId: string;
  readonly process: VmmHandle;
  readonly qmp: QmpClient;
  readonly files: RunFiles;
  /** Where the guest's memory is. */
  readonly memory: MemoryRegion;
  /** True when the machine writes to its memory file. */
  readonly booted: boolean;
  /** True when its disk is qcow2 layers, which it reads itself. */
  readonly layered: boolean;
  /** Removes what the driver made for the process; called once, after it has ended. */
  readonly cleanUp: () => Promise<void>;
}

/** One virtual machine under QEMU. */
export class QemuVm implements Vm {
  /** The id given at boot. */
  readonly vmId: string;
  /** QEMU's process id. */
  readonly pid: number;
  /** Settles when QEMU has ended and its sockets are removed. */
  readonly exited: Promise<ExitInfo>;
  /** Control of its qcow2 layers; undefined for a block device. */
  readonly layers: LayerControl | undefined;
  readonly #parts: QemuVmParts;
  readonly #logTimer: ReturnType<typeof setInterval>;
  #console = "";
  #ended = false;
  #ending: Promise<void> | undefined;
  /** Its vCPUs are not to run. */
  #held = false;
  #roomTimer: ReturnType<typeof setTimeout> | undefined;
  #toldOfRoomMs = -Infinity;

  /** @param parts A process that can be controlled. */
  constructor(parts: QemuVmParts) {
    this.#parts = parts;
    this.layers = parts.layered ? this.#control(new QemuDisk(parts.qmp)) : undefined;
    this.vmId = parts.vmId;
    this.pid = parts.process.pid;
    this.#logTimer = setInterval(() => this.#cutLog(), LOG_CHECK_MS);
    Deno.unrefTimer(Number(this.#logTimer));
    this.exited = this.#watch();
    this.#guardSocket();
  }

  /** Takes an event of the control socket. */
  onEvent({ event, data }: QmpEvent): void {
    const { vmId } = this.#parts;
    if (event === "SHUTDOWN" && data["reason"] !== "host-qmp-quit") {
      log.info("The guest of {vmId} ended: {reason}", { vmId, reason: data["reason"] });
      this.#end();
    } else if (event === "BLOCK_IO_ERROR" && data["action"] === "stop") {
      this.#awaitRoom();
    } else if (event === "GUEST_PANICKED" || event === "BLOCK_IO_ERROR") {
      log.warn("QEMU reports {event} for {vmId}", { event, vmId, data });
    }
  }

  /** Stops the vCPUs. */
  async pause(): Promise<void> {
    this.#held = true;
    await this.#command("stop", ["paused", WAITS_FOR_ROOM]);
  }

  /** Lets the vCPUs run; they may stand still again at once when the disk is full. */
  async resume(): Promise<void> {
    this.#held = false;
    await this.#command("cont", ["running", WAITS_FOR_ROOM]);
  }

  /** Whether the vCPUs run. */
  async running(): Promise<boolean> {
    return await this.#ask(async (qmp) =>
      runState.parse(await qmp.execute("query-status")).running
    );
  }

  /** The state of CPUs and devices: QEMU writes it to a file of its own in its root folder. */
  async saveState(): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#ask(async (qmp) => {
      await qmp.execute("xen-save-devices-state", { filename: `/${STATE_FILE}`, live: false });
      // Its root folder, whatever that is called by now.
      const path = `/proc/${this.pid}/root/${STATE_FILE}`;
      const { size } = await Deno.lstat(path);
      if (size === 0 || size > MAX_STATE_BYTES) {
        throw new Error(`QEMU wrote ${size} bytes of state`);
      }
      return await Deno.readFile(path);
    });
  }

  /** The memory. */
  async memory(): Promise<GuestMemory> {
    return await openMemory(this.#parts.memory);
  }

  /** Pages that the guest has written to; undefined when it was booted. */
  async writtenPages(): Promise<PageRun[] | undefined> {
    return this.#parts.booted ? undefined : await writtenPages(this.#parts.memory);
  }

  /** Ends the process: by QMP, and when it does not answer, by SIGKILL. */
  async kill(): Promise<void> {
    this.#end();
    await this.exited;
  }

  /** Figures from /proc. All zero when the process has ended. */
  async stats(): Promise<VmStats> {
    return await readStats(this.#ended ? undefined : this.pid);
  }

  #control(disk: QemuDisk): LayerControl {
    return {
      switchTo: (next) => this.#ask(() => disk.switchTo(next)),
      topLayer: () => this.#ask(() => disk.topLayer()),
      flatten: (layer) => this.#ask(() => disk.flatten(layer)),
    };
  }

  /** The disk is full: QEMU has stopped the vCPUs at a write, and repeats it when they go on. */
  #awaitRoom(): void {
    if (this.#roomTimer !== undefined) return;
    const now = performance.now();
    if (now - this.#toldOfRoomMs > ROOM_TELL_MS) {
      this.#toldOfRoomMs = now;
      log.warn("{vmId} waits for room on the disk", { vmId: this.vmId });
    }
    this.#roomTimer = setTimeout(async () => {
      this.#roomTimer = undefined;
      if (this.#held || this.#ended || this.#ending) return;
      await this.#parts.qmp.execute("cont").catch((error: unknown) =>
        log.warn("Cannot let {vmId} go on: {error}", { vmId: this.vmId, error })
      );
    }, ROOM_RETRY_MS);
  }

  async #command(command: "stop" | "cont", expected: readonly string[]): Promise<void> {
    await this.#ask(async (qmp) => {
      await qmp.execute(command);
      const { status } = runState.parse(await qmp.execute("query-status"));
      if (!expected.includes(status)) throw new Error(`The virtual machine is '${status}'`);
    });
  }

  /** Asks QEMU something. @throws {WrennError} `sandbox_not_running` when it has ended, else `internal`. */
  async #ask<T>(question: (qmp: QmpClient) => Promise<T>): Promise<T> {
    try {
      return await question(this.#parts.qmp);
    } catch (cause) {
      const ended = this.#ended || this.#ending !== undefined;
      throw ended
        ? new WrennError("sandbox_not_running", "The virtual machine has ended", { cause })
        : new WrennError("internal", "Cannot control the virtual machine", { cause });
    }
  }

  /** Asks QEMU to go, keeping the console's end, and kills it when it does not. Never rejects. */
  #end(): void {
    this.#ending ??= (async () => {
      await this.#keepConsole();
      try {
        await this.#parts.qmp.execute("quit", {}, { timeoutMs: LEAVE_MS });
      } catch {
        // The socket may close before the answer. The process's end is what counts.
      }
      await Promise.race([this.exited, this.#wait(LEAVE_MS)]);
      await this.#sigkill();
    })();
  }

  async #keepConsole(): Promise<void> {
    const { qmp, files, vmId } = this.#parts;
    try {
      const got = await qmp.execute("ringbuf-read", {
        device: CONSOLE_DEVICE,
        size: CONSOLE_BYTES,
        format: "base64",
      }, { timeoutMs: CONSOLE_MS });
      this.#console = new TextDecoder().decode(Uint8Array.fromBase64(z.string().parse(got)));
      await Deno.writeTextFile(files.console, this.#console, { mode: 0o600 });
    } catch (error) {
      log.debug("No console of {vmId}: {error}", { vmId, error });
    }
  }

  async #watch(): Promise<ExitInfo> {
    const { process, qmp, files, cleanUp, vmId } = this.#parts;
    const end = await process.ended;
    this.#ended = true;
    clearInterval(this.#logTimer);
    clearTimeout(this.#roomTimer);
    await qmp[Symbol.asyncDispose]();
    let tail = lastLines(this.#console, TAIL_LINES);
    try {
      tail = [await fileTail(files.log, TAIL_LINES), tail].filter((t) => t !== "").join("\n");
      await cleanUp();
    } catch (error) {
      log.error("Cannot clear up behind {vmId}: {error}", { vmId, error });
    }
    return { ...end, tail };
  }

  /** A process that cannot be controlled any more must not go on: ends it when its socket is lost. */
  async #guardSocket(): Promise<void> {
    const error = await this.#parts.qmp.closed;
    if (this.#ended || this.#ending) return;
    await Promise.race([this.exited, this.#wait(QUIT_MS)]);
    if (this.#ended) return;
    const { vmId } = this.#parts;
    log.error("Lost the control socket of {vmId}, ending it: {error}", { vmId, error });
    await this.#sigkill();
  }

  /** Waits, or less when the process has ended before. */
  async #wait(ms: number): Promise<void> {
    const stop = new AbortController();
    this.exited.then(() => stop.abort());
    await delay(ms, stop.signal).catch(() => {});
  }

  async #sigkill(): Promise<void> {
    if (!this.#ended) await this.#parts.process.kill();
  }

  async #cutLog(): Promise<void> {
    const { files } = this.#parts;
    try {
      if ((await Deno.stat(files.log)).size > MAX_LOG_BYTES) await Deno.truncate(files.log, 0);
    } catch (error) {
      log.warn("Cannot cut '{log}': {error}", { log: files.log, error });
    }
  }
}
