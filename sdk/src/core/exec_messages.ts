/** The messages of `exec/stream`. */
import { WrennError } from "../errors.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { errorFromMessage } from "./error_map.ts";

/** Where output came from. */
export type OutputStream = "stdout" | "stderr" | "pty";

/** What a running command sends. */
export type ExecEvent =
  | { readonly type: "start"; readonly pid: number }
  | {
    readonly type: "output";
    readonly stream: OutputStream;
    readonly data: Uint8Array<ArrayBuffer>;
  }
  | {
    readonly type: "exit";
    readonly exitCode: number;
    readonly timedOut: boolean;
    readonly durationMs: number;
  };

/**
 * Reads one message; undefined for a type that this version does not know. Throws the error that an
 * `error` message carries.
 */
export function readExecMessage(message: Record<string, unknown>): ExecEvent | undefined {
  switch (message["type"]) {
    case "start":
      return { type: "start", pid: number(message, "pid") };
    case "stdout":
    case "stderr":
    case "pty":
      return { type: "output", stream: message["type"], data: readData(message) };
    case "exit":
      return {
        type: "exit",
        exitCode: number(message, "exit_code"),
        timedOut: message["timed_out"] === true,
        durationMs: number(message, "duration_ms"),
      };
    case "error":
      throw errorFromMessage(message["error"]);
    default:
      return undefined;
  }
}

/** Bytes of text that may be base64 by its neighbour `encoding`. */
export function readData(
  fields: Record<string, unknown>,
  name: string = "data",
): Uint8Array<ArrayBuffer> {
  const data = fields[name];
  if (typeof data !== "string") throw malformed(name);
  return fields["encoding"] === "base64" ? decodeBase64(data) : new TextEncoder().encode(data);
}

/** Input in messages of at most 48 KiB of bytes; text goes as text. */
export function* stdinMessages(data: string | Uint8Array): Generator<Record<string, unknown>> {
  const size = 48 * 1024;
  const text = typeof data === "string";
  if (text && data.length <= size / 4) {
    if (data !== "") yield { type: "stdin", data };
    return;
  }
  const bytes = text ? new TextEncoder().encode(data) : data;
  for (let i = 0; i < bytes.length; i += size) {
    const piece = encodeBase64(bytes.subarray(i, i + size));
    yield { type: "stdin", data: piece, encoding: "base64" };
  }
}

/** A required number. */
export function number(fields: Record<string, unknown>, name: string): number {
  const value = fields[name];
  if (typeof value !== "number") throw malformed(name);
  return value;
}

function malformed(name: string): WrennError {
  return new WrennError("invalid_response", `The platform's answer has no usable '${name}'`);
}
