/** Command calls. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService, ExecStreamRequest, ExecStreamResponse } from "@wrenn/proto/agent";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ExecStreamResponseSchema } from "@wrenn/proto/agent";
import { WrennError } from "@wrenn/common";
import { exec } from "../guest/exec.ts";
import { type AttachedOutput, execStream, type ProcessInput } from "../guest/exec_stream.ts";
import type { SandboxManager } from "../sandbox/manager.ts";
import { guestCommand, sandboxId, signalNumber, terminalSize } from "./validate.ts";

/** The calls that this file serves. */
export type ExecCalls = Pick<ServiceImpl<typeof AgentService>, "exec" | "execStream">;

/** Command calls over a manager. */
export function execCalls(manager: SandboxManager): ExecCalls {
  return {
    exec: async ({ id, command }, { signal }) => {
      const checked = guestCommand(command);
      using lease = manager.use(sandboxId(id));
      const result = await exec(lease.guest, checked, signal);
      return { ...result, durationMs: BigInt(Math.round(result.durationMs)) };
    },
    execStream: async function* (requests, { signal }) {
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      const start = first.done ? undefined : first.value.event;
      if (start?.case !== "start") {
        throw new WrennError("invalid_request", "First message must be 'start'");
      }
      const { id, command, pty, stdin } = start.value;
      const checked = guestCommand(command);
      const options = { pty: pty && terminalSize(pty, "start.pty"), stdin };
      using lease = manager.use(sandboxId(id, "start.id"));
      const outputs = execStream(lease.guest, checked, options, inputsOf(iterator), signal);
      for await (const output of outputs) yield toMessage(output);
    },
  };
}

/** The messages after the first as input. Empty ones keep a connection alive and mean nothing. */
async function* inputsOf(
  requests: AsyncIterator<ExecStreamRequest>,
): AsyncGenerator<ProcessInput, void, undefined> {
  for (let m = await requests.next(); !m.done; m = await requests.next()) {
    const { event } = m.value;
    switch (event.case) {
      case "start":
        throw new WrennError("invalid_request", "Command has been started already");
      case "stdin":
        yield { kind: "stdin", data: event.value };
        break;
      case "stdinClose":
        if (event.value) yield { kind: "close" };
        break;
      case "resize":
        yield { kind: "resize", size: terminalSize(event.value, "resize") };
        break;
      case "signal":
        yield { kind: "signal", signal: signalNumber(event.value) };
        break;
    }
  }
}

function toMessage(output: AttachedOutput): MessageInitShape<typeof ExecStreamResponseSchema> {
  type Event = ExecStreamResponse["event"];
  switch (output.kind) {
    case "start":
      return { event: { case: "start", value: output.pid } };
    case "exit": {
      const { exitCode, timedOut, durationMs } = output.exit;
      const value = { exitCode, timedOut, durationMs: BigInt(Math.round(durationMs)) };
      return { event: { case: "exit", value } };
    }
    default:
      return { event: { case: output.kind, value: output.data } as Event };
  }
}
