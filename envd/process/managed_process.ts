/** One started process: its output fanned out, its input in order, its end kept. */
import { WrennError } from "@wrenn/common/errors";
import { logger } from "@wrenn/common/log";
import { type ExitReport, exitReport, type WaitResult } from "../core/exit_status.ts";
import { Broadcast, type Subscription } from "./broadcast.ts";
import { DrainWatch } from "./drain.ts";
import { signalGroup } from "./spawn.ts";

const SIGKILL = 9;
/** Input that may wait for a process that does not read, in bytes. */
const MAX_PENDING_INPUT = 64 * 1024 * 1024;
/** What one queued chunk costs beside its bytes. */
const CHUNK_OVERHEAD = 128;

/** The name of an output stream. */
export type OutputKind = "stdout" | "stderr" | "pty";

/** What a reader of a process sees. */
export type ProcessOutput =
  | { kind: OutputKind; data: Uint8Array<ArrayBuffer> }
  | { kind: "end"; report: ExitReport };

/** What the caller asked to run. */
export interface ProcessConfig {
  /** Command as given. */
  cmd: string;
  /** Arguments. */
  args: string[];
  /** Environment of the request. */
  envs: Record<string, string>;
  /** Directory as given. */
  cwd: string | undefined;
}

/** The running thing underneath: a child with pipes, or one on a pseudo-terminal. */
export interface ProcessBackend {
  /** Process id, also of its group and session. */
  readonly pid: number;
  /** Output streams. */
  readonly outputs: readonly {
    kind: OutputKind;
    stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  }[];
  /** How it ended. */
  readonly exited: Promise<WaitResult>;
  /** What its input is called on the wire; undefined when it has none. */
  readonly inputKind: "stdin" | "pty" | undefined;
  /** Writes input; resolves when the process took it. */
  write(data: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Closes standard input. */
  closeInput(): Promise<void>;
  /** Sets the terminal's size. */
  resize?(size: { cols: number; rows: number }): void;
  /** Frees what is left after the end. */
  dispose(): Promise<void>;
}

/** A process that envd started. */
export class ManagedProcess {
  /** What was asked. */
  readonly config: ProcessConfig;
  /** The caller's name for it. */
  readonly tag: string | undefined;
  /** Resolves with the end, after all output was handed out. */
  readonly ended: Promise<ExitReport>;
  /** Resolves when nobody holds its output any more: descendants may live longer. */
  readonly released: Promise<void>;
  readonly #readers: Set<ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>> = new Set();
  readonly #backend: ProcessBackend;
  readonly #broadcast: Broadcast<ProcessOutput> = new Broadcast();
  readonly #drain: DrainWatch = new DrainWatch();
  #report: ExitReport | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #lastWrite: Promise<void> = Promise.resolve();
  #pendingInput = 0;
  #inputClosed = false;

  /** A reader that subscribes in the same turn sees everything from the first byte. */
  constructor(backend: ProcessBackend, config: ProcessConfig, tag: string | undefined) {
    this.#backend = backend;
    this.config = config;
    this.tag = tag;
    const begun = Promise.resolve().then(() => {
      const pumps = backend.outputs.map(({ kind, stream }) => this.#pump(kind, stream));
      return { pumped: Promise.all(pumps) };
    });
    this.ended = begun.then(({ pumped }) => this.#run(pumped));
    this.released = begun.then(async ({ pumped }) => {
      await pumped;
    });
  }

  /** Process id. */
  get pid(): number {
    return this.#backend.pid;
  }

  /** How it ended, if it did. */
  get report(): ExitReport | undefined {
    return this.#report;
  }

  /** A reader of what comes from here on; the end comes last. A late reader gets the end alone. */
  subscribe(): Subscription<ProcessOutput> {
    const subscription = this.#broadcast.subscribe();
    if (this.#report) {
      subscription.push({ kind: "end", report: this.#report }, 0);
      subscription.end();
    }
    return subscription;
  }

  /** Kills the whole group after `ms` milliseconds, whoever listens. */
  killAfter(ms: number): void {
    if (this.#report) return;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.kill(), ms);
  }

  /** Closes the output that descendants still hold: they get a broken pipe when they write. */
  async abandon(): Promise<void> {
    await Promise.all([...this.#readers].map((reader) => reader.cancel()));
    await this.released;
  }

  /** Kills the process group. */
  kill(): void {
    if (!this.#report) signalGroup(this.pid, SIGKILL);
  }

  /**
   * Sends a signal to the process group.
   *
   * @throws {WrennError} `process_not_found` when it has ended.
   */
  signal(signal: number): void {
    if (this.#report || !signalGroup(this.pid, signal)) {
      throw new WrennError("process_not_found", `process with pid ${this.pid} not found`);
    }
  }

  /**
   * Writes input in the order of the calls; resolves when the process took it.
   *
   * @throws {WrennError} `invalid_request` when there is no such input or it is closed,
   * `too_many_requests` when too much waits already.
   */
  async write(kind: "stdin" | "pty", data: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#requireInput(kind);
    if (this.#pendingInput + data.length > MAX_PENDING_INPUT) {
      throw new WrennError("too_many_requests", "Too much input waits for the process");
    }
    this.#pendingInput += data.length;
    const write = this.#lastWrite.then(() => this.#backend.write(data));
    this.#lastWrite = write.catch(() => {});
    try {
      await write;
    } catch (cause) {
      throw new WrennError("invalid_request", `Cannot write: the process closed its ${kind}`, {
        cause,
      });
    } finally {
      this.#pendingInput -= data.length;
    }
  }

  /**
   * Closes standard input after what was written before.
   *
   * @throws {WrennError} `invalid_request` for terminals, which take Ctrl-D, and without stdin.
   */
  async closeStdin(): Promise<void> {
    if (this.#inputClosed) return;
    this.#requireInput("stdin");
    this.#inputClosed = true;
    await this.#lastWrite;
    await this.#backend.closeInput();
  }

  /**
   * Sets the terminal's size.
   *
   * @throws {WrennError} `invalid_request` without a terminal.
   */
  resize(size: { cols: number; rows: number }): void {
    if (!this.#backend.resize) {
      throw new WrennError("invalid_request", `Process ${this.pid} has no terminal`);
    }
    if (!this.#report) this.#backend.resize(size);
  }

  #requireInput(kind: "stdin" | "pty"): void {
    const has = this.#backend.inputKind;
    if (has !== kind) {
      throw new WrennError("invalid_request", `Process ${this.pid} has no ${kind}`);
    }
    if (this.#inputClosed) {
      throw new WrennError("invalid_request", `Stdin of process ${this.pid} is closed`);
    }
  }

  async #run(pumped: Promise<unknown>): Promise<ExitReport> {
    const result = await this.#backend.exited.catch((error: unknown): WaitResult => {
      logger("envd", "process").error("Cannot wait for a process", { pid: this.pid, error });
      return { signal: SIGKILL };
    });
    await this.#drain.afterExit(pumped);
    clearTimeout(this.#deadline);
    const report = exitReport(result);
    this.#report = report;
    this.#broadcast.finish({ kind: "end", report });
    // Descendants may hold the pipes: the pumps read on, unheard, so that none is blocked or broken.
    try {
      await this.#backend.dispose();
    } catch (error) {
      logger("envd", "process").error("Cannot release a process", { pid: this.pid, error });
    }
    return report;
  }

  async #pump(kind: OutputKind, stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    const source = this.#drain.source();
    const reader = stream.getReader();
    this.#readers.add(reader);
    try {
      while (true) {
        source.waiting = true;
        const { done, value } = await reader.read();
        source.waiting = false;
        if (done) return;
        source.bytes += value.length;
        await this.#broadcast.publish({ kind, data: value }, value.length + CHUNK_OVERHEAD);
      }
    } catch (error) {
      logger("envd", "process").warn("Cannot read output", { pid: this.pid, kind, error });
    } finally {
      source.finished = true;
      this.#readers.delete(reader);
    }
  }
}
