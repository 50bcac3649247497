/** One error type for every part: a stable code, a message that is safe to show, a cause that is not. */
import { ERROR_CODES, type ErrorCode } from "./error_codes.ts";

/** Options of {@linkcode WrennError}. */
export interface WrennErrorOptions {
  /** The error underneath. Logged, never sent over a wire. */
  cause?: unknown;
}

/** An error with a stable code and a message written for the caller. */
export class WrennError extends Error {
  /** Stable code from the table in `error_codes.ts`. */
  readonly code: ErrorCode;
  /** Always `WrennError`. */
  override readonly name: string = "WrennError";

  /** @param message Sentence for the caller: no internals, no host paths. */
  constructor(code: ErrorCode, message: string, options: WrennErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
  }

  /** HTTP status of this error's code. */
  get status(): number {
    return ERROR_CODES[this.code].http;
  }

  /** Any thrown value as a WrennError; what is not one becomes `internal` and keeps its cause. */
  static from(error: unknown): WrennError {
    if (error instanceof WrennError) return error;
    return new WrennError("internal", "Internal error", { cause: error });
  }
}

/** True when `error` is a WrennError with one of these codes. */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is WrennError {
  return error instanceof WrennError && codes.includes(error.code);
}
