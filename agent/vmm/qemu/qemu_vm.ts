/** A running QEMU process: its control socket, its end, its figures. */
import { delay, logger, WrennError } from "@wrenn/common";
import { z } from "zod";
import { CONSOLE_BYTES, CONSOLE_DEVICE, type RunFiles } from "../../core/qemu_args.ts";
import type { ExitInfo, Vm, VmStats } from "../driver.ts";
import { readFigures } from "./process_identity.ts";
import type { QmpClient, QmpEvent } from "./qmp.ts";
import { fileTail, lastLines } from "./tail.ts";

const log = logger("agent", "vmm");
const TAIL_LINES = 40;
/** A process whose control socket does not answer is killed after this time. */
const QUIT_MS = 1000;
const CONSOLE_MS = 500;
/** What QEMU prints is cut when it is longer: a hostile guest can make it complain for ever. */
const MAX_LOG_BYTES = 1 << 20;
const LOG_CHECK_MS = 10_000;

const runState = z.object({ status: z.string(), running: z.boolean() });

/** What a {@linkcode QemuVm} is made of. */
export interface QemuVmParts {
  readonly vmId: string;
  readonly sandboxId: string;
  readonly child: Deno.ChildProcess;
  readonly qmp: QmpClient;
  readonly files: RunFiles;
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
  readonly #parts: QemuVmParts;
  readonly #logTimer: ReturnType<typeof setInterval>;
  #console = "";
  #ended = false;
  #ending: Promise<void> | undefined;

  /** @param parts A process whose vCPUs run. */
  constructor(parts: QemuVmParts) {
    this.#parts = parts;
    this.vmId = parts.vmId;
    this.pid = parts.child.pid;
    this.#logTimer = setInterval(() => this.#cutLog(), LOG_CHECK_MS);
    Deno.unrefTimer(Number(this.#logTimer));
    this.exited = this.#watch();
    this.#guardSocket();
  }

  /** Takes an event of the control socket. */
  onEvent({ event, data }: QmpEvent): void {
    const { sandboxId, vmId } = this.#parts;
    if (event === "SHUTDOWN" && data["reason"] !== "host-qmp-quit") {
      log.info("The guest of {sandboxId} ended: {reason}", {
        sandboxId,
        vmId,
        reason: data["reason"],
      });
      this.#end();
    } else if (event === "GUEST_PANICKED" || event === "BLOCK_IO_ERROR") {
      log.warn("QEMU reports {event} for {sandboxId}", { event, sandboxId, vmId, data });
    }
  }

  /** Stops the vCPUs. */
  async pause(): Promise<void> {
    await this.#command("stop", "paused");
  }

  /** Lets the vCPUs run. */
  async resume(): Promise<void> {
    await this.#command("cont", "running");
  }

  /** Ends the process: by QMP, and when it does not answer, by SIGKILL. */
  async kill(): Promise<void> {
    this.#end();
    await this.exited;
  }

  /** Figures from /proc. All zero when the process has ended. */
  async stats(): Promise<VmStats> {
    const figures = this.#ended ? undefined : await readFigures(this.pid);
    return {
      cpuMs: figures?.cpuMs ?? 0,
      memoryRssMb: Math.round((figures?.rssBytes ?? 0) / 1024 / 1024),
    };
  }

  async #command(command: "stop" | "cont", expected: string): Promise<void> {
    const { qmp } = this.#parts;
    try {
      await qmp.execute(command);
      const { status } = runState.parse(await qmp.execute("query-status"));
      if (status === expected) return;
      throw new Error(`The virtual machine is '${status}', not '${expected}'`);
    } catch (cause) {
      const ended = this.#ended || this.#ending !== undefined;
      throw ended
        ? new WrennError("sandbox_not_running", "The virtual machine has ended", { cause })
        : new WrennError("internal", `Cannot ${command} the virtual machine`, { cause });
    }
  }

  /** Asks QEMU to go, keeping the console's end, and kills it when it does not. Never rejects. */
  #end(): void {
    this.#ending ??= (async () => {
      await this.#keepConsole();
      try {
        await this.#parts.qmp.execute("quit", {}, { timeoutMs: QUIT_MS });
      } catch {
        // The socket may close before the answer. The process's end is what counts.
      }
      await Promise.race([this.exited, this.#wait(QUIT_MS)]);
      this.#sigkill();
    })();
  }

  async #keepConsole(): Promise<void> {
    const { qmp, files, sandboxId } = this.#parts;
    try {
      const got = await qmp.execute("ringbuf-read", {
        device: CONSOLE_DEVICE,
        size: CONSOLE_BYTES,
        format: "base64",
      }, { timeoutMs: CONSOLE_MS });
      this.#console = new TextDecoder().decode(Uint8Array.fromBase64(z.string().parse(got)));
      await Deno.writeTextFile(files.console, this.#console, { mode: 0o600 });
    } catch (error) {
      log.debug("No console of {sandboxId}: {error}", { sandboxId, error });
    }
  }

  async #watch(): Promise<ExitInfo> {
    const { child, qmp, files, cleanUp, sandboxId, vmId } = this.#parts;
    const status = await child.status;
    this.#ended = true;
    clearInterval(this.#logTimer);
    await qmp[Symbol.asyncDispose]();
    let tail = lastLines(this.#console, TAIL_LINES);
    try {
      tail = [await fileTail(files.log, TAIL_LINES), tail].filter((t) => t !== "").join("\n");
      await cleanUp();
    } catch (error) {
      log.error("Cannot clear up behind {sandboxId}: {error}", { sandboxId, vmId, error });
    }
    const signal = status.signal ?? undefined;
    return { code: signal === undefined ? status.code : undefined, signal, tail };
  }

  /** A process that cannot be controlled any more must not go on: ends it when its socket is lost. */
  async #guardSocket(): Promise<void> {
    const error = await this.#parts.qmp.closed;
    if (this.#ended || this.#ending) return;
    await Promise.race([this.exited, this.#wait(QUIT_MS)]);
    if (this.#ended) return;
    const { sandboxId, vmId } = this.#parts;
    log.error("Lost the control socket of {sandboxId}, ending it: {error}", {
      sandboxId,
      vmId,
      error,
    });
    this.#sigkill();
  }

  /** Waits, or less when the process has ended before. */
  async #wait(ms: number): Promise<void> {
    const stop = new AbortController();
    this.exited.then(() => stop.abort());
    await delay(ms, stop.signal).catch(() => {});
  }

  #sigkill(): void {
    if (this.#ended) return;
    try {
      // The child handle knows whether the process was waited for: the pid cannot be another's.
      this.#parts.child.kill("SIGKILL");
    } catch (error) {
      log.debug("The process had ended already: {error}", { error });
    }
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
