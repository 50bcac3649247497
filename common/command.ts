/** Running host programs as a dependency: tests give a fake, `main.ts` the real one. */

/** A finished program. */
export interface CommandResult {
  /** Exit code; 128 + signal number when a signal ended it. */
  readonly code: number;
  /** Captured standard output. */
  readonly stdout: string;
  /** Captured standard error. */
  readonly stderr: string;
}

/** Options of one run. */
export interface CommandOptions {
  /** Text for standard input. */
  stdin?: string;
  /** Return instead of throwing when the exit code is not 0. */
  allowFailure?: boolean;
  /** Kills the program when aborted. */
  signal?: AbortSignal;
}

/** Runs a program to its end and captures its output. */
export type RunCommand = (
  argv: readonly [string, ...string[]],
  options?: CommandOptions,
) => Promise<CommandResult>;

/** A host program that failed. */
export class CommandError extends Error {
  /** Always `CommandError`. */
  override readonly name: string = "CommandError";
  /** What the program answered. */
  readonly result: CommandResult;

  /** @param argv The command line. @param result What the program answered. */
  constructor(argv: readonly string[], result: CommandResult) {
    super(
      `Cannot run '${argv.join(" ")}': exit ${result.code}: ${result.stderr.trim().slice(-500)}`,
    );
    this.result = result;
  }
}

/** The real thing, by `Deno.Command`. */
export const runCommand: RunCommand = async (argv, options = {}) => {
  const [cmd, ...args] = argv;
  const child = new Deno.Command(cmd, {
    args,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(options.signal ? { signal: options.signal } : {}),
  }).spawn();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    // A program that ends without reading its input breaks the pipe; its exit code tells the story.
    await writer.write(new TextEncoder().encode(options.stdin)).catch(() => {});
    await writer.close().catch(() => {});
  }
  const out = await child.output();
  const decoder = new TextDecoder();
  const result = {
    code: out.code,
    stdout: decoder.decode(out.stdout),
    stderr: decoder.decode(out.stderr),
  };
  if (out.code !== 0 && !options.allowFailure) throw new CommandError(argv, result);
  return result;
};
