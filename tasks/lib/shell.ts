/** Running programs and talking to the person at the terminal, for tasks. */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export function repoRoot(): string {
  return dirname(dirname(dirname(fileURLToPath(import.meta.url))));
}

/** What {@linkcode run} takes besides the command. */
export interface RunOptions {
  /** Working directory. */
  cwd?: string;
  /** Variables added to this process's environment. */
  env?: Record<string, string>;
  /** Do not throw when the program fails. */
  allowFailure?: boolean;
  /** Let the program write to this terminal instead of capturing its output. */
  inherit?: boolean;
}

/** A finished program: exit code and captured text. */
export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. Throws with its error output when it fails, unless told not to. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [cmd, ...args] = argv;
  if (cmd === undefined) throw new TypeError("Cannot run an empty command");
  const io = options.inherit ? "inherit" : "piped";
  const out = await new Deno.Command(cmd, {
    args,
    stdin: "null",
    stdout: io,
    stderr: io,
    ...(options.cwd ? { cwd: options.cwd } : {}),
    ...(options.env ? { env: options.env } : {}),
  }).output();
  const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  const result: RunResult = options.inherit
    ? { code: out.code, stdout: "", stderr: "" }
    : { code: out.code, stdout: decode(out.stdout), stderr: decode(out.stderr) };
  if (out.code !== 0 && !options.allowFailure) {
    throw new Error(
      `Cannot run '${argv.join(" ")}': exit ${out.code}: ${result.stderr.slice(-2000)}`,
    );
  }
  return result;
}

/** True when a program of this name is on the PATH. */
export async function has(program: string): Promise<boolean> {
  const found = await new Deno.Command("sh", {
    args: ["-c", `command -v -- "$1" >/dev/null 2>&1`, "sh", program],
    stdout: "null",
    stderr: "null",
  }).output();
  return found.success;
}

/** Writes a line to standard output. */
export function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Ends the task with a sentence on standard error and exit code 1. */
export function fail(message: string): never {
  Deno.stderr.writeSync(new TextEncoder().encode(`${message}\n`));
  Deno.exit(1);
}
