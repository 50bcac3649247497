/** Running the programs that build images. */
import { CommandError } from "@wrenn/common";

/** How to run. */
export interface ExecOptions {
  /** Working directory. */
  readonly cwd?: string;
  /** Receives every line of standard error as it comes. */
  readonly onLine?: (line: string) => void;
  /** Kills the program. */
  readonly signal?: AbortSignal | undefined;
  /** Exit codes that are no failure besides 0. */
  readonly accept?: readonly number[];
  /** File that receives standard output instead of the result. */
  readonly stdoutFile?: string;
  /** File that standard input comes from. */
  readonly stdin?: Uint8Array<ArrayBuffer>;
}

/** What a program printed. */
export interface ExecResult {
  /** Exit code. */
  readonly code: number;
  /** Standard output, empty when it went to a file. */
  readonly stdout: string;
  /** Standard error. */
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 *
 * @throws {CommandError} When it fails; the error names it and holds the end of its error output.
 * @throws {Deno.errors.NotFound} When there is no such program.
 */
export async function exec(
  argv: readonly [string, ...string[]],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const [cmd, ...args] = argv;
  options.signal?.throwIfAborted();
  const child = new Deno.Command(cmd, {
    args,
    stdin: options.stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
    env: { LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive" },
    ...(options.cwd ? { cwd: options.cwd } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  }).spawn();
  const [stdout, stderr, , status] = await Promise.all([
    options.stdoutFile
      ? toFile(child.stdout, options.stdoutFile)
      : new Response(child.stdout).text(),
    readLines(child.stderr, options.onLine),
    options.stdin ? feed(child.stdin, options.stdin) : undefined,
    child.status,
  ]);
  options.signal?.throwIfAborted();
  const result: ExecResult = { code: status.code, stdout, stderr };
  if (status.code !== 0 && !options.accept?.includes(status.code)) {
    throw new CommandError(argv, result);
  }
  return result;
}

async function toFile(stream: ReadableStream<Uint8Array>, path: string): Promise<string> {
  const file = await Deno.open(path, { write: true, create: true, truncate: true });
  await stream.pipeTo(file.writable);
  return "";
}

async function feed(
  stream: WritableStream<Uint8Array<ArrayBuffer>>,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const writer = stream.getWriter();
  // A program that ends without reading its input breaks the pipe; its exit code tells the story.
  await writer.write(bytes).catch(() => {});
  await writer.close().catch(() => {});
}

async function readLines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onLine: ((line: string) => void) | undefined,
): Promise<string> {
  let all = "";
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    all += text;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine?.(line);
  }
  return all;
}
