/** Commands of a sandbox. */
import type { CallOptions } from "./config.ts";
import type { Connection } from "./connection.ts";
import { CommandHandle, type CommandHandleOptions } from "./command_handle.ts";
import { CommandResult } from "./command_result.ts";
import { number, readData } from "./core/exec_messages.ts";
import { CommandExitError, InvalidRequestError, TimeoutError } from "./errors.ts";
import { ExecSession } from "./exec_session.ts";

/** Where and how a command runs. */
export interface CommandOptions extends CallOptions, CommandHandleOptions {
  /** Working directory. Default: the user's home. */
  cwd?: string | undefined;
  /** Environment variables beside the sandbox's own. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Linux user. Default: the template's. */
  user?: string | undefined;
  /** The command is killed after this long, milliseconds, rounded up to seconds; 0 = no limit. Default 60 000. */
  timeoutMs?: number | undefined;
  /**
   * Standard input: its whole content, or `true` to write it through the handle. Default: none. The platform
   * holds 16 MiB that the command has not read; more at once ends the command: put such input into a file.
   */
  stdin?: boolean | string | Uint8Array | undefined;
}

/** A command line for the shell, or a program and its arguments. */
export type CommandLine = string | readonly [program: string, ...args: string[]];

/** Default time limit of a command, milliseconds. */
const TIMEOUT_MS = 60_000;
/** Longest command that waits on a plain call; HTTP clients give up silent answers after some minutes. */
const MAX_CALL_MS = 120_000;
/** A login shell for a command line: bash where there is one. */
const SHELL =
  'if [ -x /bin/bash ]; then exec /bin/bash -l -c "$1"; else exec /bin/sh -l -c "$1"; fi';

/**
 * Runs commands in a sandbox.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * const { stdout } = await sandbox.commands.run("python3 -c 'print(6 * 7)'");
 * await sandbox.commands.run(["grep", "-c", "a b", "notes.txt"], { cwd: "/tmp", check: false });
 * ```
 */
export class Commands {
  readonly #connection: Connection;
  readonly #path: string;

  /** Made by {@linkcode Sandbox}. */
  constructor(connection: Connection, path: string) {
    this.#connection = connection;
    this.#path = path;
  }

  /** Starts a command and answers with its handle. */
  run(
    command: CommandLine,
    options: CommandOptions & { background: true },
  ): Promise<CommandHandle>;
  /**
   * Runs a command to its end. Throws {@linkcode CommandExitError} when it fails and
   * {@linkcode TimeoutError} when it takes too long, unless `check` is false.
   *
   * @param command A string goes to a login shell (`bash -l -c`, or `sh` where there is no bash); a list is
   * a program and its arguments, without a shell.
   */
  run(
    command: CommandLine,
    options?: CommandOptions & { background?: false | undefined },
  ): Promise<CommandResult>;
  /** Runs a command, or starts it with `background: true`. */
  async run(
    command: CommandLine,
    options: CommandOptions & { background?: boolean | undefined } = {},
  ): Promise<CommandResult | CommandHandle> {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const request = commandRequest(command, { ...options, timeoutMs });
    if (options.background) return await this.#start(request, options);
    const streams = options.onStdout || options.onStderr || options.stdin !== undefined ||
      options.capture === false || timeoutMs === 0 || timeoutMs > MAX_CALL_MS;
    return streams
      ? await (await this.#start(request, options)).wait()
      : await this.#call(request, timeoutMs, options);
  }

  async #start(request: Record<string, unknown>, options: CommandOptions): Promise<CommandHandle> {
    const { stdin } = options;
    const given = typeof stdin === "string" || stdin instanceof Uint8Array ? stdin : undefined;
    const session = await ExecSession.start(
      this.#connection,
      `${this.#path}/exec/stream`,
      { ...request, ...(stdin ? { stdin: true } : {}) },
      options,
    );
    const handle = new CommandHandle(session, options);
    // A command may end without reading its input, and the connection with it: its exit tells, not this.
    if (given?.length) {
      handle.sendStdin(given).then(() => handle.closeStdin()).catch(() => undefined);
    }
    return handle;
  }

  async #call(
    request: Record<string, unknown>,
    timeoutMs: number,
    options: CommandOptions,
  ): Promise<CommandResult> {
    const answerMs = options.requestTimeoutMs ?? this.#connection.requestTimeoutMs;
    const answer = await this.#connection.http.json({
      method: "POST",
      path: `${this.#path}/exec`,
      json: request,
      signal: options.signal,
      requestTimeoutMs: answerMs === 0 ? 0 : answerMs + timeoutMs,
    });
    const result = new CommandResult({
      stdoutBytes: readData(answer, "stdout"),
      stderrBytes: readData(answer, "stderr"),
      exitCode: number(answer, "exit_code"),
      durationMs: number(answer, "duration_ms"),
      timedOut: answer["timed_out"] === true,
      truncated: answer["truncated"] === true,
    });
    if (options.check === false || result.ok) return result;
    if (result.timedOut) {
      const message = `The command was killed after ${timeoutMs} ms`;
      throw new TimeoutError("command_timeout", message, {}, result);
    }
    throw new CommandExitError(result);
  }
}

/** A command as the platform takes it. */
export function commandRequest(
  command: CommandLine,
  options: Pick<CommandOptions, "cwd" | "env" | "user" | "timeoutMs">,
): Record<string, unknown> {
  const [cmd, ...args] = typeof command === "string"
    ? ["/bin/sh", "-c", SHELL, "sh", command]
    : command;
  if (!cmd) throw new InvalidRequestError("invalid_request", "The command is empty");
  return {
    cmd,
    args,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.user === undefined ? {} : { user: options.user }),
    timeout_sec: seconds("timeoutMs", options.timeoutMs ?? 0),
  };
}

/** Milliseconds as whole seconds, rounded up. */
export function seconds(name: string, ms: number): number {
  if (!Number.isFinite(ms) || ms < 0) {
    throw new InvalidRequestError("invalid_option", `'${name}' must be 0 or more: ${ms}`);
  }
  return Math.ceil(ms / 1000);
}
