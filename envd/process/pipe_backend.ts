/** A process on pipes. */
import { logger } from "@wrenn/common/log";
import type { WaitResult } from "../core/exit_status.ts";
import { signalNumber } from "../core/signals.ts";
import type { OutputKind, ProcessBackend } from "./managed_process.ts";
import { launch, type LaunchSpec } from "./spawn.ts";

/** Starts a program with standard output and error on pipes, and standard input when asked. */
export function startOnPipes(spec: LaunchSpec, withStdin: boolean): ProcessBackend {
  const child = launch(spec, { stdin: withStdin ? "piped" : "null", output: "piped" });
  return new PipeBackend(child, withStdin);
}

/** The end of a child. Deno has no name for real-time signals and throws at them: the number is in its words. */
export async function waitFor(child: Deno.ChildProcess): Promise<WaitResult> {
  try {
    const { code, signal } = await child.status;
    return signal === null ? { code } : { signal: signalNumber(signal) ?? code - 128 };
  } catch (error) {
    const number = /^Invalid signal: (\d+)$/.exec(error instanceof Error ? error.message : "")?.[1];
    if (number === undefined) throw error;
    return { signal: Number(number) };
  }
}

class PipeBackend implements ProcessBackend {
  readonly pid: number;
  readonly outputs: { kind: OutputKind; stream: ReadableStream<Uint8Array<ArrayBuffer>> }[];
  readonly exited: Promise<WaitResult>;
  readonly inputKind: "stdin" | undefined;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBufferLike>> | undefined;
  #closed = false;

  constructor(child: Deno.ChildProcess, withStdin: boolean) {
    this.pid = child.pid;
    this.outputs = [
      { kind: "stdout", stream: child.stdout },
      { kind: "stderr", stream: child.stderr },
    ];
    this.exited = waitFor(child);
    this.inputKind = withStdin ? "stdin" : undefined;
    this.#stdin = withStdin ? child.stdin.getWriter() : undefined;
    // A broken pipe shows in the write that meets it.
    this.#stdin?.closed.catch(() => {});
  }

  async write(data: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#stdin?.write(data);
  }

  async closeInput(): Promise<void> {
    if (this.#closed || !this.#stdin) return;
    this.#closed = true;
    try {
      await this.#stdin.close();
    } catch (error) {
      logger("envd", "process").debug("Stdin was closed by the process", { pid: this.pid, error });
    }
  }

  async dispose(): Promise<void> {
    if (this.#closed || !this.#stdin) return;
    this.#closed = true;
    // What still waits for a dead process is dropped.
    await this.#stdin.abort().catch(() => {});
  }
}
