/**
 * A command run to its end, with its output collected: one request to the guest agent (`POST /exec`, whose format
 * `envd/routes/exec.ts` describes).
 */
import { WrennError } from "@wrenn/common";
import { z } from "zod";
import { canceled, fromGuestFetch, fromGuestResponse, unavailable } from "./errors.ts";
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
    const response = await guest.fetch("/exec", {
      method: "POST",
      body: JSON.stringify({
        cmd: command.cmd,
        args: command.args,
        cwd: command.cwd,
        env: command.env,
        user: command.user,
        timeout_ms: timeoutMs,
        output_bytes: limit,
      }),
      signal: overdue ? AbortSignal.any([signal, overdue]) : signal,
    });
    if (!response.ok) throw await fromGuestResponse(response);
    const answer = await readAnswer(response, limit);
    return { ...answer, durationMs: performance.now() - startedAt };
  } catch (error) {
    if (signal.aborted) throw canceled(signal);
    const durationMs = performance.now() - startedAt;
    if (overdue?.aborted) {
      const nothing = new Uint8Array();
      const lost = { stdout: nothing, stderr: nothing, truncated: true };
      return { exitCode: KILLED, timedOut: true, durationMs, ...lost };
    }
    throw guest.closedBy ?? fromGuestFetch(error, signal);
  }
}

/** Reads an answer that may be a hostile guest's. @throws {WrennError} `guest_unavailable` */
async function readAnswer(
  response: Response,
  limit: number,
): Promise<Omit<ExecResult, "durationMs">> {
  const most = 4 + MAX_HEAD_BYTES + limit;
  const bytes = await readAtMost(response, most);
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

async function readAtMost(response: Response, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const told = Number(response.headers.get("content-length") ?? NaN);
  if (told <= most) return new Uint8Array(await response.arrayBuffer());
  await response.body?.cancel();
  throw unavailable(new WrennError("payload_too_large", `Answer of ${told} bytes`));
}
