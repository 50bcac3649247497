/** Exec and ExecStream of the fake agent over its programs. */
import { create } from "@bufbuild/protobuf";
import {
  type Command,
  type ExecRequest,
  type ExecResponse,
  ExecResponseSchema,
  type ExecStreamRequest,
  type ExecStreamResponse,
  ExecStreamResponseSchema,
  type PtySize,
} from "@wrenn/proto/agent";
import { WrennError } from "@wrenn/common";
import { BoundedQueue } from "../services/queue.ts";
import { FAKE_PROGRAMS, type FakeProgram, type ProgramContext } from "./fake_programs.ts";

type Event = { signal: number } | { cols: number; rows: number };
const HOLD = 256 * 1024;
const bytesQueue = (): BoundedQueue<Uint8Array> =>
  new BoundedQueue({ limit: HOLD, weigh: (b: Uint8Array) => b.length });

/** Looks a program up as the guest would. */
export function findProgram(
  command: Command | undefined,
  programs: ReadonlyMap<string, FakeProgram>,
): FakeProgram {
  const name = command?.cmd ?? "";
  const program = programs.get(name) ??
    (Object.hasOwn(FAKE_PROGRAMS, name) ? FAKE_PROGRAMS[name] : undefined);
  if (!program) throw new WrennError("command_not_found", `Command '${name}' not found`);
  if (!["", "root", "user"].includes(command?.user ?? "")) {
    throw new WrennError("invalid_user", `User '${command?.user}' not found`);
  }
  return program;
}

/** Runs to the end; a command with `timeout_sec` is killed at once when it would wait for ever. */
export async function runExec(
  request: ExecRequest,
  program: FakeProgram,
  signal: AbortSignal,
): Promise<ExecResponse> {
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  const stdin = bytesQueue();
  stdin.end();
  const events = new BoundedQueue<Event>({ limit: 1024 });
  const kill = new AbortController();
  kill.signal.addEventListener("abort", () => events.end());
  const stop = (): void => kill.abort();
  signal.addEventListener("abort", stop);
  const seconds = request.command?.timeoutSec ?? 0;
  const timer = seconds > 0 ? setTimeout(stop, seconds * 1000) : undefined;
  try {
    const exitCode = await program({
      ...view(request.command),
      stdin,
      events,
      pty: undefined,
      killed: kill.signal,
      stdout: (data) => Promise.resolve(void out.push(data.slice())),
      stderr: (data) => Promise.resolve(void err.push(data.slice())),
    });
    return create(ExecResponseSchema, {
      stdout: join(out),
      stderr: join(err),
      exitCode,
      durationMs: 1n,
      timedOut: kill.signal.aborted && !signal.aborted,
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

/** Runs with its input and output as they come. The process dies when the caller leaves. */
export async function* runExecStream(
  requests: AsyncIterator<ExecStreamRequest>,
  program: FakeProgram,
  start: { command?: Command | undefined; pty?: PtySize | undefined; stdin: boolean },
  signal: AbortSignal,
): AsyncGenerator<ExecStreamResponse> {
  const stdin = bytesQueue();
  if (!start.stdin && !start.pty) stdin.end();
  const events = new BoundedQueue<Event>({ limit: 1024 });
  const output = new BoundedQueue<ExecStreamResponse>({
    limit: HOLD,
    weigh: (r) => r.event.value instanceof Uint8Array ? r.event.value.length : 1,
  });
  const kill = new AbortController();
  const stop = (): void => {
    kill.abort();
    stdin.end();
    events.end();
    output.close();
  };
  signal.addEventListener("abort", stop, { once: true });
  const input = pump(requests, stdin, events).catch(stop);
  const send = async (kind: "stdout" | "stderr" | "pty", value: Uint8Array): Promise<void> => {
    await output.push(create(ExecStreamResponseSchema, { event: { case: kind, value } }));
  };
  const context: ProgramContext = {
    ...view(start.command),
    stdin,
    events,
    pty: start.pty ? { cols: start.pty.cols, rows: start.pty.rows } : undefined,
    killed: kill.signal,
    stdout: (data) => send(start.pty ? "pty" : "stdout", data),
    stderr: (data) => send(start.pty ? "pty" : "stderr", data),
  };
  const seconds = start.command?.timeoutSec ?? 0;
  let timedOut = false;
  const timer = seconds > 0
    ? setTimeout(() => {
      timedOut = true;
      kill.abort();
      stdin.end();
      events.end();
    }, seconds * 1000)
    : undefined;
  const done = program(context).then(async (exitCode) => {
    const value = { exitCode, timedOut, durationMs: 1n };
    await output.push(create(ExecStreamResponseSchema, { event: { case: "exit", value } }));
    output.end();
  }).catch((error: unknown) => output.end({ error }));
  try {
    yield create(ExecStreamResponseSchema, { event: { case: "start", value: 42 } });
    yield* output;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    stop();
    await done;
    await requests.return?.();
    void input;
  }
}

async function pump(
  requests: AsyncIterator<ExecStreamRequest>,
  stdin: BoundedQueue<Uint8Array>,
  events: BoundedQueue<Event>,
): Promise<void> {
  while (true) {
    const { done, value } = await requests.next();
    if (done) return;
    const { event } = value;
    if (event.case === "stdin") await stdin.push(event.value);
    else if (event.case === "stdinClose") stdin.end();
    else if (event.case === "signal") await events.push({ signal: event.value });
    else if (event.case === "resize") {
      await events.push({ cols: event.value.cols, rows: event.value.rows });
    }
  }
}

function view(c: Command | undefined): Pick<ProgramContext, "args" | "env" | "cwd" | "user"> {
  const user = c?.user || "user";
  return {
    args: c?.args ?? [],
    env: c?.env ?? {},
    cwd: c?.cwd || (user === "root" ? "/root" : "/home/user"),
    user,
  };
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}
