/** A command with its streams attached: output while it comes, input, resizes and signals while it runs. */
import { logger, WrennError } from "@wrenn/common";
import type { Guest } from "./guest.ts";
import { canceled } from "./errors.ts";
import type { GuestProcess, ProcessOutput } from "./guest_process.ts";
import type { AttachOptions, GuestCommand, TerminalSize } from "./processes.ts";

/** What the attached side sends. */
export type ProcessInput =
  | { readonly kind: "stdin"; readonly data: Uint8Array }
  | { readonly kind: "close" }
  | { readonly kind: "resize"; readonly size: TerminalSize }
  | { readonly kind: "signal"; readonly signal: number };

/** What the attached side gets: first the start, last the exit. */
export type AttachedOutput = { readonly kind: "start"; readonly pid: number } | ProcessOutput;

/** Input that may wait for a process that does not read, bytes. Beyond it the sender is held. */
const PENDING_INPUT_LIMIT = 1024 * 1024;

/**
 * Runs a command attached. The process is killed when the signal aborts, when the input breaks, and when the
 * reader leaves before the exit. The end of the input closes standard input.
 */
export async function* execStream(
  guest: Guest,
  command: GuestCommand,
  options: AttachOptions,
  inputs: AsyncIterator<ProcessInput>,
  signal: AbortSignal,
): AsyncGenerator<AttachedOutput, void, undefined> {
  await using process = await guest.processes.start(command, options, signal);
  const input = new InputPump(process, options, inputs);
  const abandon = (): void => void process[Symbol.asyncDispose]();
  signal.addEventListener("abort", abandon, { once: true });
  try {
    yield { kind: "start", pid: process.pid };
    input.run();
    for await (const output of process.output()) {
      // Killed for its input, it has an exit too; the reason says more.
      if (input.failure) throw input.failure;
      yield output;
    }
  } catch (error) {
    if (signal.aborted) throw canceled(signal);
    throw input.failure ?? error;
  } finally {
    signal.removeEventListener("abort", abandon);
    input.stop();
  }
}

/** Carries input to a process: data in order and at the process's pace, resizes and signals past it. */
class InputPump {
  /** Why the input broke, when it did. */
  failure: WrennError | undefined;
  readonly #process: GuestProcess;
  readonly #options: AttachOptions;
  readonly #inputs: AsyncIterator<ProcessInput>;
  #lastWrite: Promise<void> = Promise.resolve();
  #pending = 0;
  #roomier: (() => void) | undefined;
  #closed = false;
  #stopped = false;

  constructor(process: GuestProcess, options: AttachOptions, inputs: AsyncIterator<ProcessInput>) {
    this.#process = process;
    this.#options = options;
    this.#inputs = inputs;
  }

  run(): void {
    this.#pump().catch((error: unknown) => {
      if (this.#stopped) return;
      this.failure = error instanceof WrennError
        ? error
        : new WrennError("canceled", "Input broke off", { cause: error });
      void this.#process[Symbol.asyncDispose]();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#roomier?.();
  }

  async #pump(): Promise<void> {
    while (!this.#stopped) {
      const { done, value } = await this.#inputs.next();
      if (done || this.#stopped) break;
      switch (value.kind) {
        case "stdin":
          await this.#write(value.data);
          break;
        case "close":
          this.#close();
          break;
        case "resize":
          if (!this.#options.pty) throw refuse("'resize' needs a terminal");
          this.#tell("resize", this.#process.resize(value.size));
          break;
        case "signal":
          this.#tell("signal", this.#process.signal(value.signal));
          break;
      }
    }
    // A terminal has no end of input but the one that is typed.
    if (!this.#options.pty && this.#options.stdin) this.#close();
  }

  async #write(data: Uint8Array): Promise<void> {
    if (!this.#options.stdin && !this.#options.pty) throw refuse("'stdin' is not open");
    if (this.#closed) throw refuse("'stdin' is closed");
    this.#pending += data.length;
    this.#lastWrite = this.#lastWrite.then(() => this.#process.write(data)).catch((error) => {
      // A process that closed its input, or ended, is told apart by its own output.
      logger("agent", "guest").debug("Input was not taken", { pid: this.#process.pid, error });
    }).finally(() => {
      this.#pending -= data.length;
      this.#roomier?.();
    });
    while (this.#pending > PENDING_INPUT_LIMIT && !this.#stopped) {
      await new Promise<void>((resolve) => this.#roomier = resolve);
    }
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#tell("close", this.#lastWrite.then(() => this.#process.closeInput()));
  }

  /** What fails here fails because the process has ended, which its output tells. */
  #tell(what: string, done: Promise<void>): void {
    done.catch((error) =>
      logger("agent", "guest").debug("Process was not told", {
        what,
        pid: this.#process.pid,
        error,
      })
    );
  }
}

function refuse(message: string): WrennError {
  return new WrennError("invalid_request", message);
}
