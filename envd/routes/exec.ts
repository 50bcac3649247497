/**
 * `/exec`: a command run to its end, in one request and one answer. The host agent's way; it costs a guest a quarter of
 * what a Connect stream does.
 *
 * ```
 * request   JSON {cmd, args, cwd, env, user, timeout_ms, output_bytes}
 * response  u32 length of what follows as JSON, little endian
 *           JSON {exit_code | signal, timed_out, truncated, stdout_bytes, duration_ms}
 *           stdout, stderr
 * ```
 */
import { WrennError } from "@wrenn/common/errors";
import type { GuestState } from "../init/state.ts";
import type { ProcessManager } from "../process/manager.ts";
import { MAX_TIMER_MS } from "../rpc/request_context.ts";
const MAX_OUTPUT = 16 * 1024 * 1024;

interface ExecBody {
  readonly cmd: string;
  readonly args: string[];
  readonly cwd: string;
  readonly env: Record<string, string>;
  readonly user: string;
  readonly timeoutMs: number;
  readonly outputBytes: number;
}

/**
 * Runs the command of a request; one that is not wanted any more is killed.
 *
 * @throws {WrennError} `invalid_json`, `invalid_request`, and as `ProcessManager.runOnce`.
 */
export async function runExec(
  text: string,
  { manager, state }: { manager: ProcessManager; state: GuestState },
  wanted: () => boolean,
): Promise<Uint8Array<ArrayBuffer>> {
  const body = parseBody(text);
  const began = performance.now();
  const user = await state.user(body.user || undefined);
  const { stdout, stderr, end, timedOut, truncated } = await manager.runOnce(
    {
      config: { cmd: body.cmd, args: body.args, envs: body.env, cwd: body.cwd || undefined },
      user,
    },
    { deadlineMs: body.timeoutMs, outputBytes: body.outputBytes },
    wanted,
  );
  const head = new TextEncoder().encode(JSON.stringify({
    ...("code" in end ? { exit_code: end.code } : { signal: end.signal }),
    timed_out: timedOut,
    truncated,
    stdout_bytes: stdout.length,
    duration_ms: performance.now() - began,
  }));
  const answer = new Uint8Array(4 + head.length + stdout.length + stderr.length);
  new DataView(answer.buffer).setUint32(0, head.length, true);
  answer.set(head, 4);
  answer.set(stdout, 4 + head.length);
  answer.set(stderr, 4 + head.length + stdout.length);
  return answer;
}

function parseBody(text: string): ExecBody {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WrennError("invalid_json", "Body is not JSON", { cause });
  }
  const body = value as Record<string, unknown> | null;
  const wrong = (field: string): never => {
    throw new WrennError("invalid_request", `Field '${field}' is missing or wrong`);
  };
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new WrennError("invalid_request", "Body is not an object");
  }
  const string = (field: string): string => {
    const found = body[field] ?? "";
    return typeof found === "string" ? found : wrong(field);
  };
  const number = (field: string, max: number, fallback: number): number => {
    const found = body[field] ?? fallback;
    const good = typeof found === "number" && Number.isInteger(found) && found >= 0;
    return good ? Math.min(found, max) : wrong(field);
  };
  const args = body["args"] ?? [];
  const env = body["env"] ?? {};
  if (!Array.isArray(args) || args.some((arg) => typeof arg !== "string")) wrong("args");
  if (typeof env !== "object" || Object.values(env).some((v) => typeof v !== "string")) {
    wrong("env");
  }
  return {
    cmd: string("cmd"),
    args: args as string[],
    cwd: string("cwd"),
    env: env as Record<string, string>,
    user: string("user"),
    timeoutMs: number("timeout_ms", MAX_TIMER_MS, 0),
    outputBytes: number("output_bytes", MAX_OUTPUT, MAX_OUTPUT),
  };
}
