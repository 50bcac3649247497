/** `process.Process` over Connect. */
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { WrennError } from "@wrenn/common/errors";
import type { Process, ProcessInput, ProcessSelector, PTY } from "@wrenn/proto/process";
import { isSendableSignal } from "../core/signals.ts";
import type { GuestState } from "../init/state.ts";
import type { ManagedProcess } from "../process/managed_process.ts";
import type { ProcessManager, Selector } from "../process/manager.ts";
import type { PtySize } from "../pty/pty.ts";
import { processEvents } from "./process_stream.ts";
import { deadlineMs, keepaliveMs, requestUser } from "./request_context.ts";

/** Largest terminal side that the kernel can store. */
const MAX_SIDE = 65535;
const DEFAULT_SIZE: PtySize = { cols: 80, rows: 24 };

/** What the service needs. */
export interface ProcessServiceOptions {
  /** Processes. */
  manager: ProcessManager;
  /** Default user. */
  state: GuestState;
}

/** The service over a process manager. */
export function processService(
  { manager, state }: ProcessServiceOptions,
): ServiceImpl<typeof Process> {
  return {
    list: () => ({ processes: manager.list().map(processInfo) }),

    async *start(request, context: HandlerContext) {
      const config = request.process;
      if (!config) throw new WrennError("invalid_request", "Process is missing");
      const user = await state.user(requestUser(context.requestHeader));
      const { process, output } = await manager.start({
        config: { cmd: config.cmd, args: config.args, envs: { ...config.envs }, cwd: config.cwd },
        user,
        tag: request.tag,
        pty: request.pty && ptySize(request.pty),
        stdin: request.stdin ?? true,
        deadlineMs: deadlineMs(context.requestHeader),
      });
      const idle = keepaliveMs(context.requestHeader);
      for await (const event of processEvents(process, output, context.signal, idle)) {
        yield { event };
      }
    },

    async *connect(request, context: HandlerContext) {
      const process = manager.recent(selector(request.process));
      const output = process.subscribe();
      const idle = keepaliveMs(context.requestHeader);
      for await (const event of processEvents(process, output, context.signal, idle)) {
        yield { event };
      }
    },

    update(request) {
      const process = manager.running(selector(request.process));
      if (request.pty) process.resize(ptySize(request.pty));
      return {};
    },

    async sendInput(request) {
      await write(manager.running(selector(request.process)), request.input);
      return {};
    },

    async streamInput(requests) {
      let process: ManagedProcess | undefined;
      for await (const { event } of requests) {
        if (event.case === "start") process = manager.running(selector(event.value.process));
        else if (event.case === "data") {
          if (!process) throw new WrennError("invalid_request", "The first message must be start");
          await write(process, event.value.input);
        }
      }
      return {};
    },

    sendSignal(request) {
      if (!isSendableSignal(request.signal)) {
        throw new WrennError("invalid_request", `Signal ${request.signal} is not one of 1 to 31`);
      }
      manager.running(selector(request.process)).signal(request.signal);
      return {};
    },

    async closeStdin(request) {
      await manager.running(selector(request.process)).closeStdin();
      return {};
    },
  };
}

function selector(message: ProcessSelector | undefined): Selector {
  const chosen = message?.selector;
  if (chosen?.case === "pid") return { pid: chosen.value };
  if (chosen?.case === "tag") return { tag: chosen.value };
  throw new WrennError("invalid_request", "Process selector is missing");
}

async function write(process: ManagedProcess, message: ProcessInput | undefined): Promise<void> {
  const input = message?.input;
  if (input?.case === undefined) throw new WrennError("invalid_request", "Input is missing");
  await process.write(input.case, input.value as Uint8Array<ArrayBuffer>);
}

function ptySize({ size }: PTY): PtySize {
  if (!size || (size.cols === 0 && size.rows === 0)) return DEFAULT_SIZE;
  if (size.cols > MAX_SIDE || size.rows > MAX_SIDE) {
    throw new WrennError("invalid_request", `Terminal size is above ${MAX_SIDE}`);
  }
  return { cols: size.cols, rows: size.rows };
}

function processInfo(process: ManagedProcess) {
  const { cmd, args, envs, cwd } = process.config;
  return {
    config: { cmd, args, envs, ...(cwd === undefined ? {} : { cwd }) },
    pid: process.pid,
    ...(process.tag === undefined ? {} : { tag: process.tag }),
  };
}
