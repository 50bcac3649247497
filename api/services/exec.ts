/** Commands in a sandbox: run to the end, or with input and output as they come. */
import { linkSignals, type SandboxId } from "@wrenn/common";
import type { ExecStreamRequest, ExecStreamRequestSchema } from "@wrenn/proto/agent";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fromAgentError } from "../hosts/agent_errors.ts";
import type { OpenSandbox, Principal, SandboxService } from "./types.ts";

/** A command for the guest; it is run directly, without a shell. */
export interface ExecCommand {
  readonly cmd: string;
  readonly args: readonly string[];
  /** Empty = the user's home. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Empty = the template's default user. */
  readonly user: string;
  /** Seconds until the process is killed; 0 = no limit. */
  readonly timeoutSec: number;
}

/** A finished command. */
export interface ExecResult {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** 128 + signal number when a signal ended it. */
  readonly exitCode: number;
  readonly durationMs: number;
  /** Output was cut at the agent's limit. */
  readonly truncated: boolean;
  readonly timedOut: boolean;
}

/** Size of a terminal, characters. */
export interface TerminalSize {
  readonly cols: number;
  readonly rows: number;
}

/** A command with a stream of input. */
export interface ExecStart extends ExecCommand {
  /** Present: runs on a terminal of this size. */
  readonly pty: TerminalSize | undefined;
  /** Keeps standard input open for `stdin` events. */
  readonly stdin: boolean;
}

/** What goes to a running command. */
export type ExecInput =
  | { readonly type: "stdin"; readonly data: Uint8Array }
  | { readonly type: "stdin_close" }
  | { readonly type: "signal"; readonly signal: number }
  | { readonly type: "resize"; readonly size: TerminalSize };

/** What comes from a running command. The last one is `exit`. */
export type ExecOutput =
  | { readonly type: "start"; readonly pid: number }
  | { readonly type: "stdout" | "stderr" | "pty"; readonly data: Uint8Array }
  | {
    readonly type: "exit";
    readonly exitCode: number;
    readonly timedOut: boolean;
    readonly durationMs: number;
  };

type WireRequest = MessageInitShape<typeof ExecStreamRequestSchema>;

/** The use case behind every wire that runs commands. Errors are WrennErrors. */
export class ExecService {
  readonly #sandboxes: SandboxService;

  /** @param sandboxes Finds the sandbox and its agent. */
  constructor(sandboxes: SandboxService) {
    this.#sandboxes = sandboxes;
  }

  /**
   * Runs a command to its end. Aborting `signal` kills it.
   *
   * @throws {WrennError} As `SandboxService.open`, and `command_not_found`, `invalid_user`, `invalid_path`.
   */
  async exec(
    who: Principal,
    id: SandboxId,
    command: ExecCommand,
    signal: AbortSignal,
  ): Promise<ExecResult> {
    const { agent } = await this.#sandboxes.open(who, id);
    try {
      const done = await agent.exec({ id, command: wireCommand(command) }, { signal });
      return {
        stdout: done.stdout,
        stderr: done.stderr,
        exitCode: done.exitCode,
        durationMs: Number(done.durationMs),
        truncated: done.truncated,
        timedOut: done.timedOut,
      };
    } catch (error) {
      throw fromAgentError(error);
    }
  }

  /** Finds the sandbox for {@linkcode ExecService.stream}. */
  open(who: Principal, id: SandboxId): Promise<OpenSandbox> {
    return this.#sandboxes.open(who, id);
  }

  /**
   * Runs a command and yields its output as it comes; a consumer that does not read holds the process.
   * Leaving the loop or aborting `signal` kills it. Input after the end is dropped.
   */
  async *stream(
    { sandbox, agent }: OpenSandbox,
    start: ExecStart,
    input: AsyncIterable<ExecInput>,
    signal: AbortSignal,
  ): AsyncGenerator<ExecOutput> {
    using call = linkSignals(signal);
    try {
      const requests = wireRequests(sandbox.id, start, input);
      for await (const { event } of agent.execStream(requests, { signal: call.signal })) {
        switch (event.case) {
          case "start":
            yield { type: "start", pid: event.value };
            break;
          case "stdout":
          case "stderr":
          case "pty":
            yield { type: event.case, data: event.value };
            break;
          case "exit": {
            const { exitCode, timedOut, durationMs } = event.value;
            yield { type: "exit", exitCode, timedOut, durationMs: Number(durationMs) };
            return;
          }
        }
      }
    } catch (error) {
      throw fromAgentError(error);
    } finally {
      call.abort();
    }
  }
}

async function* wireRequests(
  id: SandboxId,
  start: ExecStart,
  input: AsyncIterable<ExecInput>,
): AsyncGenerator<WireRequest> {
  const { pty, stdin } = start;
  const value = { id, command: wireCommand(start), stdin, ...(pty ? { pty } : {}) };
  yield { event: { case: "start", value } };
  for await (const item of input) yield { event: wireEvent(item) };
}

function wireEvent(item: ExecInput): NonNullable<WireRequest["event"]> {
  switch (item.type) {
    case "stdin":
      return { case: "stdin", value: item.data };
    case "stdin_close":
      return { case: "stdinClose", value: true };
    case "signal":
      return { case: "signal", value: item.signal };
    case "resize":
      return { case: "resize", value: item.size } as ExecStreamRequest["event"];
  }
}

function wireCommand(command: ExecCommand): {
  cmd: string;
  args: string[];
  cwd: string;
  env: Record<string, string>;
  user: string;
  timeoutSec: number;
} {
  const { cmd, args, cwd, env, user, timeoutSec } = command;
  return { cmd, args: [...args], cwd, env: { ...env }, user, timeoutSec };
}
