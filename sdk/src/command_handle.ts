/** A command that runs in the background. */
import { CommandResult } from "./command_result.ts";
import { CommandExitError, TimeoutError } from "./errors.ts";
import type { ExecSession, SignalName } from "./exec_session.ts";

/** A piece of a command's output. */
export interface CommandOutput {
  /** Where the command wrote it. */
  readonly stream: "stdout" | "stderr";
  /** The bytes. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** The same as text; a character that is cut between pieces comes with the later one. */
  readonly text: string;
}

/** How a {@linkcode CommandHandle} treats output. */
export interface CommandHandleOptions {
  /** Called with each piece of standard output; a returned promise is awaited before the next piece. */
  onStdout?: ((text: string) => void | Promise<void>) | undefined;
  /** Called with each piece of standard error; a returned promise is awaited before the next piece. */
  onStderr?: ((text: string) => void | Promise<void>) | undefined;
  /** Keep the output for the result. Default true; false for output without end. */
  capture?: boolean | undefined;
  /** `wait()` throws when the command fails. Default true. */
  check?: boolean | undefined;
}

/**
 * A running command: its output as it comes, its input, signals, and its end.
 *
 * With `capture: false` output is read only while somebody iterates or waits, so that a slow reader slows the
 * command instead of filling memory.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * const cat = await sandbox.commands.run("cat", { background: true, stdin: true });
 * await cat.sendStdin("hello\n");
 * await cat.closeStdin();
 * for await (const { text } of cat) console.log(text);
 * const { exitCode } = await cat.wait();
 * ```
 */
export class CommandHandle implements AsyncIterable<CommandOutput>, AsyncDisposable {
  /** Process id in the sandbox. */
  readonly pid: number;
  readonly #session: ExecSession;
  readonly #options: CommandHandleOptions;
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  readonly #log: CommandOutput[] = [];
  #result: CommandResult | undefined;
  #failure: { readonly error: unknown } | undefined;
  #drain: Promise<void> | undefined;
  #wake: (() => void)[] = [];
  #reading = false;

  /** Made by `commands.run(..., { background: true })`. */
  constructor(session: ExecSession, options: CommandHandleOptions = {}) {
    this.pid = session.pid;
    this.#session = session;
    this.#options = options;
    if (this.#captures) this.#drain = this.#readAll();
  }

  /**
   * Waits for the end. Throws {@linkcode CommandExitError} on a failure and {@linkcode TimeoutError} when the
   * command was killed at its limit, unless it was started with `check: false`.
   */
  async wait(): Promise<CommandResult> {
    while (!this.#ended) {
      if (this.#reading) await new Promise<void>((resolve) => this.#wake.push(resolve));
      else await (this.#drain ??= this.#readAll());
    }
    const result = this.#finished();
    if (this.#options.check === false || result.ok) return result;
    if (result.timedOut) {
      throw new TimeoutError(
        "command_timeout",
        "The command was killed at its time limit",
        {},
        result,
      );
    }
    throw new CommandExitError(result);
  }

  /** Sends a signal, `SIGKILL` unless told otherwise. Does nothing once the command has ended. */
  async kill(signal: SignalName = "SIGKILL"): Promise<void> {
    if (!this.#ended) await this.#session.signal(signal);
  }

  /** Writes to standard input; the command must have been started with `stdin`. */
  async sendStdin(data: string | Uint8Array): Promise<void> {
    await this.#session.sendInput(data);
  }

  /** Ends standard input: the command reads end of file. */
  async closeStdin(): Promise<void> {
    await this.#session.closeInput();
  }

  /** Output from the beginning to the end of the command (from now on with `capture: false`). */
  async *[Symbol.asyncIterator](): AsyncGenerator<CommandOutput, void, void> {
    if (this.#captures) {
      for (let i = 0;;) {
        const output = this.#log[i];
        if (output) {
          i++;
          yield output;
        } else if (this.#ended) break;
        else await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    } else {
      if (this.#reading || this.#drain) throw new TypeError("The output is being read already");
      this.#reading = true;
      try {
        for (let output = await this.#read(); output; output = await this.#read()) yield output;
      } finally {
        this.#reading = false;
        this.#notify();
      }
    }
    this.#finished();
  }

  /** Kills the command if it runs still, and leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.end();
    await this.#drain;
  }

  get #captures(): boolean {
    return this.#options.capture !== false;
  }

  get #ended(): boolean {
    return this.#result !== undefined || this.#failure !== undefined;
  }

  #finished(): CommandResult {
    if (this.#failure) throw this.#failure.error;
    return this.#result as CommandResult;
  }

  async #readAll(): Promise<void> {
    while (await this.#read());
  }

  /** One piece of output, or undefined at the end; failures end up in `#failure`. */
  async #read(): Promise<CommandOutput | undefined> {
    if (this.#ended) return undefined;
    try {
      const event = await this.#session.next();
      if (event.type === "exit") {
        this.#result = new CommandResult({
          stdoutBytes: this.#captured("stdout"),
          stderrBytes: this.#captured("stderr"),
          exitCode: event.exitCode,
          durationMs: event.durationMs,
          timedOut: event.timedOut,
          truncated: false,
        });
        return undefined;
      }
      const stream = event.stream === "stderr" ? "stderr" : "stdout";
      const text = this.#decoders[stream].decode(event.data, { stream: true });
      const output = { stream, data: event.data, text } as const;
      if (this.#captures) this.#log.push(output);
      const callback = stream === "stdout" ? this.#options.onStdout : this.#options.onStderr;
      if (text !== "") await callback?.(text);
      return output;
    } catch (error) {
      this.#failure = { error };
      await this.#session.end();
      return undefined;
    } finally {
      this.#notify();
    }
  }

  #captured(stream: "stdout" | "stderr"): Uint8Array<ArrayBuffer> {
    const pieces = this.#log.filter((output) => output.stream === stream);
    const all = new Uint8Array(pieces.reduce((sum, { data }) => sum + data.length, 0));
    let at = 0;
    for (const { data } of pieces) {
      all.set(data, at);
      at += data.length;
    }
    return all;
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
