/** Processes of a fake guest: a few programs that end when they are told to. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Process, ProcessSelector, StartResponseSchema } from "@wrenn/proto/process";
import { delay, WrennError } from "@wrenn/common";

type Response = MessageInitShape<typeof StartResponseSchema>;

/** One running fake process. */
export class FakeProcess {
  readonly config: { cmd: string; args: string[]; envs: Record<string, string>; cwd?: string };
  readonly timeoutMs: number;
  readonly pty: { cols: number; rows: number } | undefined;
  readonly stdin: boolean;
  /** Signals that it got. */
  readonly signals: number[] = [];
  /** Sizes that its terminal was told. */
  readonly sizes: string[] = [];
  readonly #input: (Uint8Array | "end")[] = [];
  #wake: (() => void) | undefined;
  #killedBy: number | undefined;

  constructor(parts: Pick<FakeProcess, "config" | "timeoutMs" | "pty" | "stdin">) {
    this.config = parts.config;
    this.timeoutMs = parts.timeoutMs;
    this.pty = parts.pty;
    this.stdin = parts.stdin;
  }

  send(data: Uint8Array | "end"): void {
    this.#input.push(data);
    this.#wake?.();
  }

  signal(signal: number): void {
    this.signals.push(signal);
    if (![9, 15, 2].includes(signal)) return;
    this.#killedBy ??= signal;
    this.#wake?.();
  }

  get killedBy(): number | undefined {
    return this.#killedBy;
  }

  /** The next input; undefined when it was killed. */
  async read(): Promise<Uint8Array | "end" | undefined> {
    while (this.#killedBy === undefined) {
      const next = this.#input.shift();
      if (next !== undefined) return next;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return undefined;
  }
}

const SIGNAL_WORDS: Record<number, string> = { 2: "interrupt", 9: "killed", 15: "terminated" };

/** Programs: `echo`, `env NAME`, `cat`, `sleep`, `exit N`, `flood BYTES`, and those of a warm-up, which do nothing. */
export class FakeProcesses {
  /** By pid; those that ended are gone. */
  readonly running: Map<number, FakeProcess> = new Map();
  /** All that were ever started. */
  readonly started: FakeProcess[] = [];
  #nextPid = 100;

  killAll(): void {
    for (const process of this.running.values()) process.signal(9);
  }

  /** `POST /exec`: runs a program to its end. */
  async exec(
    body: {
      cmd: string;
      args: string[];
      cwd: string;
      env: Record<string, string>;
      timeout_ms: number;
      output_bytes: number;
    },
    signal: AbortSignal,
  ): Promise<globalThis.Response> {
    const request = {
      process: {
        cmd: body.cmd,
        args: body.args,
        envs: body.env,
        ...(body.cwd ? { cwd: body.cwd } : {}),
      },
      stdin: false,
    };
    const headers = new Headers(
      body.timeout_ms ? { "connect-timeout-ms": String(body.timeout_ms) } : {},
    );
    const output: { stdout: Uint8Array[]; stderr: Uint8Array[] } = { stdout: [], stderr: [] };
    let [room, truncated, killedBy, exitCode] = [body.output_bytes, false, 0, 0];
    const kill = (): void => this.started.at(-1)?.signal(9);
    signal.addEventListener("abort", kill);
    const events = this.#start(
      request as Parameters<ServiceImpl<typeof Process>["start"]>[0],
      headers,
      new AbortController().signal,
    );
    for await (const { event } of events) {
      const inner = event?.event;
      if (inner?.case === "data") {
        const { case: kind, value } = inner.value?.output ?? {};
        const data = (value ?? new Uint8Array()) as Uint8Array;
        truncated ||= data.length > room;
        output[kind === "stderr" ? "stderr" : "stdout"].push(data.slice(0, room));
        room -= Math.min(room, data.length);
      } else if (inner?.case === "end") {
        exitCode = inner.value?.exitCode ?? 0;
        killedBy = this.started.at(-1)?.killedBy ?? 0;
      }
    }
    signal.removeEventListener("abort", kill);
    const stdout = new Uint8Array(await new Blob(output.stdout as BlobPart[]).arrayBuffer());
    const head = new TextEncoder().encode(JSON.stringify({
      ...(killedBy ? { signal: killedBy } : { exit_code: exitCode }),
      timed_out: killedBy === 9 && body.timeout_ms > 0 && body.timeout_ms < 5000,
      truncated,
      stdout_bytes: stdout.length,
    }));
    const length = new Uint8Array(new Uint32Array([head.length]).buffer);
    const parts = [length, head, stdout, ...output.stderr as Uint8Array<ArrayBuffer>[]];
    const bytes = await new Blob(parts).arrayBuffer();
    return new globalThis.Response(bytes);
  }

  service(): ServiceImpl<typeof Process> {
    const unsupported = (): never => {
      throw new WrennError("invalid_request", "Not in the fake");
    };
    return {
      list: unsupported,
      connect: unsupported,
      streamInput: unsupported,
      start: (request, context) => this.#start(request, context.requestHeader, context.signal),
      update: ({ process, pty }) => {
        this.#find(process).sizes.push(`${pty?.size?.cols}x${pty?.size?.rows}`);
        return {};
      },
      sendInput: ({ process, input }) => {
        const found = this.#find(process);
        if (input?.input.value === undefined) unsupported();
        found.send(input?.input.value ?? new Uint8Array());
        return {};
      },
      sendSignal: ({ process, signal }) => {
        this.#find(process).signal(signal);
        return {};
      },
      closeStdin: ({ process }) => {
        this.#find(process).send("end");
        return {};
      },
    };
  }

  #find(selector: ProcessSelector | undefined): FakeProcess {
    const pid = selector?.selector.case === "pid" ? selector.selector.value : -1;
    const process = this.running.get(pid);
    if (process) return process;
    throw new WrennError("process_not_found", `process with pid ${pid} not found`);
  }

  async *#start(
    request: Parameters<ServiceImpl<typeof Process>["start"]>[0],
    headers: Headers,
    signal: AbortSignal,
  ): AsyncGenerator<Response> {
    const config = request.process;
    if (!config) throw new WrennError("invalid_request", "No process");
    if (config.cmd === "missing") throw new WrennError("command_not_found", "missing not found");
    const process = new FakeProcess({
      config: {
        cmd: config.cmd,
        args: config.args,
        envs: config.envs,
        ...(config.cwd === undefined ? {} : { cwd: config.cwd }),
      },
      timeoutMs: Number(headers.get("connect-timeout-ms") ?? 0),
      pty: request.pty?.size && { cols: request.pty.size.cols, rows: request.pty.size.rows },
      stdin: request.stdin ?? true,
    });
    const pid = this.#nextPid++;
    this.running.set(pid, process);
    this.started.push(process);
    const limit = process.timeoutMs > 0
      ? setTimeout(() => process.signal(9), process.timeoutMs)
      : undefined;
    try {
      yield { event: { event: { case: "start", value: { pid } } } };
      yield { event: { event: { case: "keepalive", value: {} } } };
      let code = 0;
      for await (const output of run(process, signal)) {
        if (typeof output === "number") code = output;
        else yield output;
      }
      yield end(process.killedBy, code);
    } finally {
      clearTimeout(limit);
      // As in the real guest, a process outlives the call that started it.
      if (process.killedBy !== undefined || !signal.aborted) this.running.delete(pid);
    }
  }
}

async function* run(
  process: FakeProcess,
  signal: AbortSignal,
): AsyncGenerator<Response | number> {
  const { cmd, args, envs } = process.config;
  const kind = process.pty ? "pty" as const : "stdout" as const;
  const out = (value: Uint8Array | string, where: typeof kind | "stderr" = kind): Response => ({
    event: {
      event: {
        case: "data",
        value: {
          output: {
            case: where,
            value: typeof value === "string"
              ? new TextEncoder().encode(value)
              : value as Uint8Array<ArrayBuffer>,
          },
        },
      },
    },
  });
  switch (cmd) {
    case "echo":
      yield out(`${args.join(" ")}\n`);
      return;
    case "env":
      yield out(envs[args[0] ?? ""] ?? "");
      return;
    case "exit":
      yield out("bad\n", "stderr");
      yield Number(args[0]);
      return;
    case "flood":
      for (let left = Number(args[0]); left > 0; left -= 65536) {
        yield out(new Uint8Array(Math.min(left, 65536)).fill(120));
        if (signal.aborted) return;
        await delay(0);
      }
      return;
    case "cat":
      for (let data = await process.read(); data !== undefined; data = await process.read()) {
        if (data === "end" || (process.pty && data[0] === 4)) return;
        yield out(data);
      }
      return;
    case "true":
    case "sh":
    case "bash":
    case "python3":
    case "node":
    case "git":
    case "curl":
      if (!process.pty) return;
      while (await process.read() !== undefined) { /* a shell that waits */ }
      return;
    default:
      while (await process.read() !== undefined) { /* takes input and says nothing */ }
  }
}

function end(killedBy: number | undefined, code: number): Response {
  const value = killedBy === undefined
    ? { exitCode: code, exited: true, status: `exit status ${code}` }
    : { exitCode: -1, exited: false, status: `signal: ${SIGNAL_WORDS[killedBy]}` };
  return { event: { event: { case: "end", value } } };
}
