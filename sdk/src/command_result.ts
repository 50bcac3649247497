/** What a finished command left. */

/** Fields of a {@linkcode CommandResult}. */
export interface CommandResultFields {
  /** Standard output. */
  stdoutBytes: Uint8Array<ArrayBuffer>;
  /** Standard error. */
  stderrBytes: Uint8Array<ArrayBuffer>;
  /** Exit code; 128 + signal number when a signal ended the command. */
  exitCode: number;
  /** Time the command ran, milliseconds. */
  durationMs: number;
  /** The command was killed at its time limit. */
  timedOut: boolean;
  /** The platform cut the output at its limit; streamed commands are never cut. */
  truncated: boolean;
}

/**
 * A finished command: exit code, output as text and as bytes, duration.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * const { stdout, exitCode } = await sandbox.commands.run("echo hello");
 * ```
 */
export class CommandResult {
  /** Standard output, the bytes as the command wrote them. */
  readonly stdoutBytes: Uint8Array<ArrayBuffer>;
  /** Standard error, the bytes as the command wrote them. */
  readonly stderrBytes: Uint8Array<ArrayBuffer>;
  /** Exit code; 128 + signal number when a signal ended the command. */
  readonly exitCode: number;
  /** Time the command ran, milliseconds. */
  readonly durationMs: number;
  /** The command was killed at its time limit. */
  readonly timedOut: boolean;
  /** The platform cut the output at its limit; streamed commands are never cut. */
  readonly truncated: boolean;
  #stdout: string | undefined;
  #stderr: string | undefined;

  /**
   * Made by the SDK.
   *
   * @param fields What the platform said.
   */
  constructor(fields: CommandResultFields) {
    this.stdoutBytes = fields.stdoutBytes;
    this.stderrBytes = fields.stderrBytes;
    this.exitCode = fields.exitCode;
    this.durationMs = fields.durationMs;
    this.timedOut = fields.timedOut;
    this.truncated = fields.truncated;
  }

  /** Standard output as UTF-8 text; bytes that are not UTF-8 show as U+FFFD. */
  get stdout(): string {
    return this.#stdout ??= new TextDecoder().decode(this.stdoutBytes);
  }

  /** Standard error as UTF-8 text; bytes that are not UTF-8 show as U+FFFD. */
  get stderr(): string {
    return this.#stderr ??= new TextDecoder().decode(this.stderrBytes);
  }

  /** Exit code 0 and not killed at the time limit. */
  get ok(): boolean {
    return this.exitCode === 0 && !this.timedOut;
  }
}
