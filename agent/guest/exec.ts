/**
 * A command run to its end, with its output collected: one call of the guest agent (`/exec`, whose format
 * `envd/routes/exec.ts` describes).
 */
import { z } from "zod";
import { canceled, unavailable } from "./errors.ts";
import type { Guest } from "./guest.ts";
import type { ProcessExit } from "./guest_process.ts";
import type { GuestCommand } from "./processes.ts";

/** Output that is kept, bytes, both streams together. */
export const OUTPUT_LIMIT: number = 16 * 1024 * 1024;

/** A finished command. */
export interface ExecResult extends ProcessExit {
  readonly stdout: Uint8Array<ArrayBuffer>;
  readonly stderr: Uint8Array<ArrayBuffer>;
  /** The output passed the limit and was cut there; the command ran on. */
  readonly truncated: boolean;
}

/** The guest ends a command at its limit; when it does not tell so for this long, the host stops waiting. */
const TIMEOUT_GRACE_MS = 10_000;
const KILLED = 137;
/** What comes before the output. */
const MAX_HEAD_BYTES = 4096;

const headSchema = z.object({
  exit_code: z.int().optional(),
  signal: z.int().optional(),
  timed_out: z.boolean(),
  truncated: z.boolean(),
  stdout_bytes: z.int().min(0),
});

/** Runs a command without input. When the signal aborts the process is killed. */
export async function exec(
  guest: Guest,
  command: GuestCommand,
  signal: AbortSignal,
  limit: number = OUTPUT_LIMIT,
): Promise<ExecResult> {
  const startedAt = performance.now();
  const timeoutMs = command.timeoutSec * 1000;
  const overdue = timeoutMs > 0 ? AbortSignal.timeout(timeoutMs + TIMEOUT_GRACE_MS) : undefined;
  try {
    const order = {
      cmd: command.cmd,
      args: command.args,
      cwd: command.cwd,
      env: command.env,
      user: command.user,
      timeout_ms: timeoutMs,
      output_bytes: limit,
    };
    const either = overdue ? AbortSignal.any([signal, overdue]) : signal;
    const bytes = await guest.call("/exec", order, either, 4 + MAX_HEAD_BYTES + limit);
    return { ...readAnswer(bytes), durationMs: performance.now() - startedAt };
  } catch (error) {
    if (signal.aborted) throw canceled(signal);
    const durationMs = performance.now() - startedAt;
    if (overdue?.aborted) {
      const nothing = new Uint8Array();
      const lost = { stdout: nothing, stderr: nothing, truncated: true };
      return { exitCode: KILLED, timedOut: true, durationMs, ...lost };
    }
    throw error;
  }
}

/** Reads an answer that may be a hostile guest's. @throws {WrennError} `guest_unavailable` */
function readAnswer(bytes: Uint8Array<ArrayBuffer>): Omit<ExecResult, "durationMs"> {
  const headBytes = bytes.length < 4
    ? Infinity
    : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (headBytes > MAX_HEAD_BYTES || 4 + headBytes > bytes.length) {
    throw unavailable(new Error("Answer without a head"));
  }
  const head = parseHead(bytes.subarray(4, 4 + headBytes));
  const output = bytes.subarray(4 + headBytes);
  return {
    exitCode: head.exit_code ?? 128 + (head.signal ?? 127),
    timedOut: head.timed_out,
    truncated: head.truncated,
    stdout: output.subarray(0, head.stdout_bytes),
    stderr: output.subarray(head.stdout_bytes),
  };
}

function parseHead(bytes: Uint8Array): z.infer<typeof headSchema> {
  try {
    return headSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw unavailable(cause);
  }
}
