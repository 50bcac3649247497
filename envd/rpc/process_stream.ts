/** A process as a stream of wire events: start, data, keepalives in silence, end. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ProcessEventSchema } from "@wrenn/proto/process";
import { IDLE, type Subscription } from "../process/broadcast.ts";
import type { ManagedProcess, ProcessOutput } from "../process/managed_process.ts";

/** An event to be sent. */
export type EventInit = MessageInitShape<typeof ProcessEventSchema>;

/**
 * Events of one process for one client. Ends with the process, or with the
 * signal's reason when the client goes away or its deadline passes.
 *
 * @param signal Aborted when the client is gone. @param idleMs Silence before a keepalive.
 */
export async function* processEvents(
  process: ManagedProcess,
  output: Subscription<ProcessOutput>,
  signal: AbortSignal,
  idleMs: number,
): AsyncGenerator<EventInit> {
  const leave = (): void => output.close();
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  try {
    yield { event: { case: "start", value: { pid: process.pid } } };
    while (true) {
      const item = await output.next(idleMs);
      if (item === undefined) {
        // The client's deadline has passed: it hears so. One that is gone hears nothing anyway.
        signal.throwIfAborted();
        return;
      }
      yield item === IDLE ? { event: { case: "keepalive", value: {} } } : outputEvent(item);
    }
  } finally {
    signal.removeEventListener("abort", leave);
    output.close();
  }
}

function outputEvent(item: ProcessOutput): EventInit {
  if (item.kind === "end") return { event: { case: "end", value: item.report } };
  return {
    event: { case: "data", value: { output: { case: item.kind, value: item.data } } },
  };
}
