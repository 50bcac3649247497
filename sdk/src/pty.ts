/** Terminals of a sandbox. */
import { type CommandLine, commandRequest } from "./commands.ts";
import type { CallOptions } from "./config.ts";
import type { Connection } from "./connection.ts";
import { ExecSession, type SignalName } from "./exec_session.ts";

/** Size of a terminal in characters. */
export interface PtySize {
  /** Columns. */
  cols: number;
  /** Rows. */
  rows: number;
}

/** How a terminal is opened. */
export interface PtyOptions extends CallOptions {
  /** Columns. Default 80. */
  cols?: number | undefined;
  /** Rows. Default 24. */
  rows?: number | undefined;
  /** What runs on the terminal. Default: an interactive login shell. */
  command?: CommandLine | undefined;
  /** Called with what the terminal shows; a returned promise is awaited before the next piece. */
  onData?: ((data: Uint8Array<ArrayBuffer>) => void | Promise<void>) | undefined;
  /** Working directory. Default: the user's home. */
  cwd?: string | undefined;
  /** Environment variables; `TERM` is `xterm-256color` unless given. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Linux user. Default: the template's. */
  user?: string | undefined;
  /** The terminal is closed after this long, milliseconds; 0 = no limit. Default 0. */
  timeoutMs?: number | undefined;
}

/** How a terminal ended. */
export interface PtyExit {
  /** Exit code of what ran on it; 128 + signal number when a signal ended it. */
  readonly exitCode: number;
  /** It was closed at its time limit. */
  readonly timedOut: boolean;
  /** How long it was open, milliseconds. */
  readonly durationMs: number;
}

const SHELL = "if [ -x /bin/bash ]; then exec /bin/bash -i -l; else exec /bin/sh -i -l; fi";

/**
 * An open terminal. Without `onData`, iterate over it; output is read only while somebody does.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * const pty = await sandbox.pty.create({ cols: 100, rows: 30 });
 * await pty.write("stty size; exit\n");
 * for await (const data of pty) console.log(new TextDecoder().decode(data));
 * ```
 */
export class PtyHandle implements AsyncIterable<Uint8Array<ArrayBuffer>>, AsyncDisposable {
  /** Process id in the sandbox. */
  readonly pid: number;
  readonly #session: ExecSession;
  readonly #onData: PtyOptions["onData"];
  #ended: { readonly exit: PtyExit } | { readonly error: unknown } | undefined;
  #reader: Promise<void> | undefined;
  #iterating = false;
  #wake: (() => void)[] = [];

  /** Made by {@linkcode Pty.create}. */
  constructor(session: ExecSession, onData?: PtyOptions["onData"]) {
    this.pid = session.pid;
    this.#session = session;
    this.#onData = onData;
    if (onData) this.#reader = this.#readAll();
  }

  /** Types into the terminal. */
  async write(data: string | Uint8Array): Promise<void> {
    await this.#session.sendInput(data);
  }

  /** Changes the size; what runs gets SIGWINCH. */
  async resize(size: PtySize): Promise<void> {
    await this.#session.resize(size.cols, size.rows);
  }

  /** Sends a signal, `SIGKILL` unless told otherwise. Does nothing once the terminal has ended. */
  async kill(signal: SignalName = "SIGKILL"): Promise<void> {
    if (!this.#ended) await this.#session.signal(signal);
  }

  /** Waits for the end of what runs on the terminal; output that nobody reads is dropped. */
  async wait(): Promise<PtyExit> {
    while (!this.#ended) {
      if (this.#iterating) await new Promise<void>((resolve) => this.#wake.push(resolve));
      else await (this.#reader ??= this.#readAll());
    }
    if ("error" in this.#ended) throw this.#ended.error;
    return this.#ended.exit;
  }

  /** What the terminal shows, to its end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    if (this.#iterating || this.#reader) throw new TypeError("The terminal is being read already");
    this.#iterating = true;
    try {
      for (let data = await this.#read(); data; data = await this.#read()) yield data;
    } finally {
      this.#iterating = false;
      for (const wake of this.#wake.splice(0)) wake();
    }
    if (this.#ended && "error" in this.#ended) throw this.#ended.error;
  }

  /** Closes the terminal; what runs on it is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.end();
    await this.#reader;
  }

  async #readAll(): Promise<void> {
    while (await this.#read());
  }

  async #read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#ended) return undefined;
    try {
      const event = await this.#session.next();
      if (event.type === "exit") {
        const { exitCode, timedOut, durationMs } = event;
        this.#ended = { exit: { exitCode, timedOut, durationMs } };
        return undefined;
      }
      await this.#onData?.(event.data);
      return event.data;
    } catch (error) {
      this.#ended = { error };
      await this.#session.end();
      return undefined;
    }
  }
}

/**
 * Opens terminals in a sandbox.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * const pty = await sandbox.pty.create({ onData: (data) => console.log(data.length) });
 * await pty.write("exit\n");
 * await pty.wait();
 * ```
 */
export class Pty {
  readonly #connection: Connection;
  readonly #path: string;

  /** Made by {@linkcode Sandbox}. */
  constructor(connection: Connection, path: string) {
    this.#connection = connection;
    this.#path = path;
  }

  /** Opens a terminal. */
  async create(options: PtyOptions = {}): Promise<PtyHandle> {
    const request = commandRequest(options.command ?? ["/bin/sh", "-c", SHELL], {
      ...options,
      env: { TERM: "xterm-256color", ...options.env },
      timeoutMs: options.timeoutMs ?? 0,
    });
    const pty = { cols: options.cols ?? 80, rows: options.rows ?? 24 };
    const session = await ExecSession.start(
      this.#connection,
      `${this.#path}/exec/stream`,
      { ...request, pty },
      options,
    );
    return new PtyHandle(session, options.onData);
  }
}
