/** Starting commands in a guest. */
import type { ProcessEvent, StartResponse } from "@wrenn/proto/process";
import { WrennError } from "@wrenn/common";
import { type GuestConnection, userHeader } from "./connection.ts";
import { canceled, fromGuestRpc } from "./errors.ts";
import { GuestProcess } from "./guest_process.ts";

/** A command to run, directly and without a shell. */
export interface GuestCommand {
  readonly cmd: string;
  readonly args: readonly string[];
  /** Empty = the user's home. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Empty = the default user. */
  readonly user: string;
  /** 0 = no limit. At the limit the guest kills the process. */
  readonly timeoutSec: number;
}

/** Size of a terminal. */
export interface TerminalSize {
  readonly cols: number;
  readonly rows: number;
}

/** How a command is attached. */
export interface AttachOptions {
  /** Present: on a terminal of this size. */
  readonly pty?: TerminalSize | undefined;
  /** Keep standard input open. Without it and without a terminal the command reads end of file. */
  readonly stdin: boolean;
}

/** How long the guest may take to start a process. */
const START_LIMIT_MS = 60_000;

/** Starts processes. */
export class GuestProcesses {
  readonly #connection: GuestConnection;

  /** @param connection Connection to the guest agent. */
  constructor(connection: GuestConnection) {
    this.#connection = connection;
  }

  /**
   * Starts a command and answers when it runs. The process belongs to the caller, who reads it to its end or
   * disposes of it, which kills it. A signal that aborts meanwhile kills it too.
   *
   * @throws {WrennError} `command_not_found`, `invalid_user`, `invalid_path`, `guest_unavailable` and others.
   */
  async start(
    command: GuestCommand,
    options: AttachOptions,
    signal: AbortSignal,
  ): Promise<GuestProcess> {
    const stop = new AbortController();
    const limit = setTimeout(() => stop.abort(), START_LIMIT_MS);
    const startedAt = performance.now();
    try {
      // The call has its own signal: cut off before the start is confirmed, the process would run on unseen.
      const messages = this.#connection.process.start({
        process: {
          cmd: command.cmd,
          args: [...command.args],
          envs: { ...command.env },
          ...(command.cwd === "" ? {} : { cwd: command.cwd }),
        },
        ...(options.pty ? { pty: { size: { ...options.pty } } } : {}),
        stdin: options.stdin,
      }, {
        signal: stop.signal,
        headers: {
          ...userHeader(command.user),
          // The kill deadline of the process (e2b-dev/infra envd start.go), not of this call.
          ...(command.timeoutSec > 0
            ? { "connect-timeout-ms": String(command.timeoutSec * 1000) }
            : {}),
        },
      });
      const events = eventsOf(messages);
      const first = await events.next();
      if (first.done || first.value.case !== "start") {
        throw new WrennError("guest_unavailable", "Guest agent did not confirm the start");
      }
      const process = new GuestProcess({
        connection: this.#connection,
        pid: first.value.value.pid,
        pty: options.pty !== undefined,
        timeoutMs: command.timeoutSec * 1000,
        startedAt,
        events,
        stop,
      });
      if (signal.aborted) {
        await process[Symbol.asyncDispose]();
        throw canceled(signal);
      }
      return process;
    } catch (error) {
      stop.abort();
      throw this.#connection.closedBy ?? fromGuestRpc(error, "file_not_found", signal);
    } finally {
      clearTimeout(limit);
    }
  }
}

/** The events of a process without the wrapping and the keepalives. */
async function* eventsOf(
  messages: AsyncIterable<StartResponse>,
): AsyncGenerator<Exclude<ProcessEvent["event"], { case: undefined }>, void, undefined> {
  for await (const { event } of messages) {
    const inner = event?.event;
    if (inner?.case !== undefined && inner.case !== "keepalive") yield inner;
  }
}
