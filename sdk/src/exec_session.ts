/** One command on the `exec/stream` WebSocket: what commands and terminals have in common. */
import type { CallOptions } from "./config.ts";
import type { Connection } from "./connection.ts";
import { type ExecEvent, readExecMessage, stdinMessages } from "./core/exec_messages.ts";
import { TimeoutError, UnavailableError } from "./errors.ts";
import type { MessageSocket } from "./socket.ts";

/** Name of a signal, such as `SIGINT`. */
export type SignalName =
  | "SIGHUP"
  | "SIGINT"
  | "SIGQUIT"
  | "SIGKILL"
  | "SIGUSR1"
  | "SIGUSR2"
  | "SIGTERM"
  | "SIGCONT"
  | "SIGSTOP"
  | "SIGTSTP"
  | "SIGWINCH";

/** A started command. Ends with the connection; the platform kills what loses its connection. */
export class ExecSession {
  /** Process id in the sandbox. */
  readonly pid: number;
  readonly #socket: MessageSocket;
  readonly #signal: AbortSignal | undefined;
  readonly #stop: () => void;
  #over = false;

  private constructor(socket: MessageSocket, pid: number, signal: AbortSignal | undefined) {
    this.#socket = socket;
    this.pid = pid;
    this.#signal = signal;
    this.#stop = () => void this.end();
    signal?.addEventListener("abort", this.#stop, { once: true });
    if (signal?.aborted) void this.end();
  }

  /** Connects, sends the command and waits for its start. */
  static async start(
    connection: Connection,
    path: string,
    command: Record<string, unknown>,
    options: CallOptions,
  ): Promise<ExecSession> {
    const { signal } = options;
    const limitMs = options.requestTimeoutMs ?? connection.requestTimeoutMs;
    const socket = await connection.socket(path, options);
    let late = false;
    const cut = (): void => void socket.close();
    const timer = limitMs > 0 ? setTimeout(() => (late = true, cut()), limitMs) : undefined;
    signal?.addEventListener("abort", cut, { once: true });
    try {
      await socket.send(command);
      for (;;) {
        const message = await socket.receive();
        if (message === undefined) {
          throw new UnavailableError(
            "connection_lost",
            "The platform closed before the command began",
          );
        }
        const event = readExecMessage(message);
        if (event?.type === "start") return new ExecSession(socket, event.pid, signal);
      }
    } catch (error) {
      await socket.close();
      if (signal?.aborted) throw signal.reason;
      if (late) {
        throw new TimeoutError("request_timeout", `The command did not start within ${limitMs} ms`);
      }
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cut);
    }
  }

  /** The next piece of output or the exit. Throws when the connection breaks or the signal fires. */
  async next(): Promise<Exclude<ExecEvent, { type: "start" }>> {
    try {
      for (;;) {
        const message = await this.#socket.receive();
        this.#signal?.throwIfAborted();
        if (message === undefined) {
          throw new UnavailableError(
            "connection_lost",
            "The platform closed before the command ended",
          );
        }
        const event = readExecMessage(message);
        if (event?.type === "exit") await this.end();
        if (event && event.type !== "start") return event;
      }
    } catch (error) {
      await this.end();
      if (this.#signal?.aborted) throw this.#signal.reason;
      throw error;
    }
  }

  /** Writes to the command's input. */
  async sendInput(data: string | Uint8Array): Promise<void> {
    for (const message of stdinMessages(data)) await this.#socket.send(message);
  }

  /** Ends the command's input. */
  closeInput(): Promise<void> {
    return this.#socket.send({ type: "stdin_close" });
  }

  /** Sends a signal; nothing happens once the command has ended. */
  async signal(name: SignalName): Promise<void> {
    if (!this.#over) await this.#socket.send({ type: "signal", signal: name });
  }

  /** Gives the terminal a new size. */
  resize(cols: number, rows: number): Promise<void> {
    return this.#socket.send({ type: "resize", cols, rows });
  }

  /** Leaves; the platform kills a command that still runs. */
  async end(): Promise<void> {
    this.#over = true;
    this.#signal?.removeEventListener("abort", this.#stop);
    await this.#socket.close();
  }
}
