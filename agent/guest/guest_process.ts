/** One process in a guest that somebody on the host is attached to. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { ProcessEvent } from "@wrenn/proto/process";
import { logger, WrennError } from "@wrenn/common";
import { exitCodeOf } from "../core/exit_code.ts";
import type { GuestConnection } from "./connection.ts";
import { fromGuestRpc } from "./errors.ts";
import type { TerminalSize } from "./processes.ts";

/** What a process says. */
export type ProcessOutput =
  | { readonly kind: "stdout" | "stderr" | "pty"; readonly data: Uint8Array }
  | { readonly kind: "exit"; readonly exit: ProcessExit };

/** How a process ended. */
export interface ProcessExit {
  /** 128 + signal number when a signal ended it. */
  readonly exitCode: number;
  /** The time limit of the command ended it. */
  readonly timedOut: boolean;
  /** From the request to start to the end. */
  readonly durationMs: number;
}

/** What a {@linkcode GuestProcess} is made of. */
export interface GuestProcessParts {
  readonly connection: GuestConnection;
  readonly pid: number;
  readonly pty: boolean;
  /** 0 = none. */
  readonly timeoutMs: number;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly events: AsyncGenerator<Exclude<ProcessEvent["event"], { case: undefined }>>;
  /** Ends the stream of events. */
  readonly stop: AbortController;
}

const SIGKILL = 9;
const KILLED = 128 + SIGKILL;
const END_OF_TRANSMISSION = new Uint8Array([4]);
const KILL_LIMIT_MS = 5_000;
const DRAIN_LIMIT_MS = 1_000;
/** The guest ends a process at its limit; when it does not tell so for this long, the host stops waiting. */
const TIMEOUT_GRACE_MS = 10_000;
/** The clock of a guest may run a little fast. */
const CLOCK_SLACK_MS = 100;

/** A running process. Disposing of it kills it unless it has ended. */
export class GuestProcess implements AsyncDisposable {
  /** Process id in the guest. */
  readonly pid: number;
  readonly #parts: GuestProcessParts;
  #ended = false;
  #overdue = false;
  #disposing: Promise<void> | undefined;
  readonly #limit: ReturnType<typeof setTimeout> | undefined;

  /** @param parts The confirmed process. */
  constructor(parts: GuestProcessParts) {
    this.#parts = parts;
    this.pid = parts.pid;
    if (parts.timeoutMs > 0) {
      this.#limit = setTimeout(() => {
        this.#overdue = true;
        void this[Symbol.asyncDispose]();
      }, parts.timeoutMs + TIMEOUT_GRACE_MS);
    }
  }

  /**
   * What the process says, in order; the exit comes last.
   *
   * @throws {WrennError} `guest_unavailable` when the stream breaks first.
   */
  async *output(): AsyncGenerator<ProcessOutput, void, undefined> {
    try {
      while (true) {
        const { done, value: event } = await this.#parts.events.next();
        if (done) break;
        if (event.case === "data") {
          const { case: kind, value: data } = event.value.output;
          if (kind !== undefined) yield { kind, data };
        } else if (event.case === "end") {
          this.#ended = true;
          const exitCode = exitCodeOf(event.value);
          const durationMs = performance.now() - this.#parts.startedAt;
          const timedOut = exitCode === KILLED && this.#pastLimit(durationMs);
          yield { kind: "exit", exit: { exitCode, timedOut, durationMs } };
          return;
        }
      }
    } catch (error) {
      if (this.#overdue || this.#isDeadline(error)) {
        const durationMs = performance.now() - this.#parts.startedAt;
        yield { kind: "exit", exit: { exitCode: KILLED, timedOut: true, durationMs } };
        return;
      }
      throw this.#parts.connection.closedBy ?? fromGuestRpc(error, "process_not_found");
    } finally {
      await this[Symbol.asyncDispose]();
    }
    throw new WrennError("guest_unavailable", "Guest agent did not tell the end of the process");
  }

  /** Writes to standard input or to the terminal. Resolves when the process took it. */
  async write(data: Uint8Array): Promise<void> {
    const value = data as Uint8Array<ArrayBuffer>;
    const input = this.#parts.pty
      ? { case: "pty" as const, value }
      : { case: "stdin" as const, value };
    await this.#call((options) =>
      this.#parts.connection.process.sendInput({ ...this.#selector, input: { input } }, options)
    );
  }

  /** Ends standard input; a terminal gets Ctrl-D. */
  async closeInput(): Promise<void> {
    if (this.#parts.pty) return await this.write(END_OF_TRANSMISSION);
    await this.#call((options) =>
      this.#parts.connection.process.closeStdin(this.#selector, options)
    );
  }

  /** Tells the terminal its size. */
  async resize(size: TerminalSize): Promise<void> {
    await this.#call((options) =>
      this.#parts.connection.process.update(
        { ...this.#selector, pty: { size: { ...size } } },
        options,
      )
    );
  }

  /** Sends a signal, 1 to 31, to the process group. */
  async signal(signal: number): Promise<void> {
    await this.#call((options) =>
      this.#parts.connection.process.sendSignal({ ...this.#selector, signal }, options)
    );
  }

  /** Kills the process group unless it has ended, and ends the stream. Idempotent. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposing ??= this.#dispose();
    return this.#disposing;
  }

  async #dispose(): Promise<void> {
    clearTimeout(this.#limit);
    const { connection, stop } = this.#parts;
    try {
      if (connection.closedBy !== undefined) return;
      if (this.#ended) return await this.#drain();
      await connection.process.sendSignal({ ...this.#selector, signal: SIGKILL }, {
        signal: AbortSignal.timeout(KILL_LIMIT_MS),
      });
    } catch (error) {
      // It may have ended in the same moment; else the machine ends, or its own limit ends the process.
      const known = fromGuestRpc(error, "process_not_found");
      if (known.code !== "process_not_found") {
        logger("agent", "guest").warn("Cannot kill a process", { pid: this.pid, error: known });
      }
    } finally {
      stop.abort();
    }
  }

  /** Reads past the end to the end of the response, so that its connection can serve again. */
  async #drain(): Promise<void> {
    const limit = Promise.withResolvers<void>();
    const timer = setTimeout(limit.resolve, DRAIN_LIMIT_MS);
    const drained = (async () => {
      while (!(await this.#parts.events.next()).done) { /* nothing comes after the end */ }
    })();
    // The end was told; how its stream ends changes nothing.
    await Promise.race([drained.catch(() => {}), limit.promise]);
    clearTimeout(timer);
  }

  get #selector(): { process: { selector: { case: "pid"; value: number } } } {
    return { process: { selector: { case: "pid", value: this.pid } } };
  }

  async #call(call: (options: { signal: AbortSignal }) => Promise<unknown>): Promise<void> {
    try {
      await call({ signal: this.#parts.stop.signal });
    } catch (error) {
      throw this.#parts.connection.closedBy ?? fromGuestRpc(error, "process_not_found");
    }
  }

  /** At the limit the guest kills the process, and may end the stream before it tells the end. */
  #isDeadline(error: unknown): boolean {
    return this.#parts.timeoutMs > 0 && ConnectError.from(error).code === Code.DeadlineExceeded;
  }

  #pastLimit(durationMs: number): boolean {
    const { timeoutMs } = this.#parts;
    return timeoutMs > 0 && durationMs >= timeoutMs - CLOCK_SLACK_MS;
  }
}
