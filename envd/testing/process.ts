/** Reading a process's stream to its end, for tests. */
import { assert } from "@std/assert";
import type { ConnectResponse, ProcessEvent, StartResponse } from "@wrenn/proto/process";

/** A stream that was read to its end. */
export interface Ended {
  pid: number;
  stdout: string;
  stderr: string;
  end: Extract<ProcessEvent["event"], { case: "end" }>["value"];
}

/** Reads everything. */
export async function collect(
  stream: AsyncIterable<StartResponse | ConnectResponse>,
): Promise<Ended> {
  const out = new TextDecoder();
  const err = new TextDecoder();
  let pid = 0;
  let stdout = "";
  let stderr = "";
  let end: Ended["end"] | undefined;
  for await (const { event } of stream) {
    const inner = event?.event;
    if (inner?.case === "start") pid = inner.value.pid;
    else if (inner?.case === "data") {
      const { output } = inner.value;
      if (output.case === "stdout") stdout += out.decode(output.value, { stream: true });
      if (output.case === "stderr") stderr += err.decode(output.value, { stream: true });
    } else if (inner?.case === "end") end = inner.value;
  }
  if (!end) throw new Error("Stream had no end event");
  return { pid, stdout, stderr, end };
}

/** A shell script as a process. */
export function sh(script: string, cwd = "/"): { cmd: string; args: string[]; cwd: string } {
  return { cmd: "/bin/sh", args: ["-c", script], cwd };
}

/** The pid, from the first message. */
export async function pidOf(stream: AsyncIterator<StartResponse>): Promise<number> {
  const event = (await stream.next()).value?.event?.event;
  assert(event?.case === "start");
  return event.value.pid;
}
