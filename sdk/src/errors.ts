/** Every error the SDK throws of its own accord, from one base class. */
import type { CommandResult } from "./command_result.ts";

/** What a {@linkcode WrennError} carries besides its message. */
export interface WrennErrorOptions {
  /** HTTP status, when the platform answered. */
  status?: number | undefined;
  /** The platform's id of the request, for its logs. */
  requestId?: string | undefined;
  /** The error underneath. */
  cause?: unknown;
}

/**
 * Base of all errors of the SDK: a stable `code`, a sentence, and where it came from.
 *
 * @example
 * ```ts
 * import { Sandbox, WrennError } from "@wrenn/sdk";
 *
 * try {
 *   await Sandbox.connect("sb-00000000");
 * } catch (error) {
 *   if (error instanceof WrennError) console.error(error.code, error.message);
 * }
 * ```
 */
export class WrennError extends Error {
  /** Stable code: the platform's (`sandbox_not_found`, ...) or the SDK's (`connection_failed`, ...). */
  readonly code: string;
  /** HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;
  /** The platform's id of the request, when it gave one. */
  readonly requestId: string | undefined;
  /** Name of the class. */
  override readonly name: string = "WrennError";

  /**
   * Made by the SDK.
   *
   * @param code Stable code.
   * @param message Sentence for the reader.
   */
  constructor(code: string, message: string, options: WrennErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.requestId = options.requestId;
  }
}

/**
 * The request is wrong and will stay wrong: 400, 413, 415, 416 and their like.
 *
 * @example
 * ```ts
 * import { InvalidRequestError } from "@wrenn/sdk";
 *
 * const wrong = (error: unknown) => error instanceof InvalidRequestError;
 * ```
 */
export class InvalidRequestError extends WrennError {
  /** Name of the class. */
  override readonly name: string = "InvalidRequestError";
}

/**
 * The key is missing, unknown, or may not do this: 401 and 403.
 *
 * @example
 * ```ts
 * import { AuthenticationError } from "@wrenn/sdk";
 *
 * const checkKey = (error: unknown) => error instanceof AuthenticationError;
 * ```
 */
export class AuthenticationError extends WrennError {
  /** Name of the class. */
  override readonly name: string = "AuthenticationError";
}

/**
 * There is no such sandbox, file, process or template: 404. The `code` says which.
 *
 * @example
 * ```ts
 * import { NotFoundError } from "@wrenn/sdk";
 *
 * const noFile = (error: unknown) => error instanceof NotFoundError && error.code === "file_not_found";
 * ```
 */
export class NotFoundError extends WrennError {
  /** Name of the class. */
  override readonly name: string = "NotFoundError";
}

/**
 * The thing is in a state that forbids the call (409): the sandbox is paused, the folder exists.
 *
 * @example
 * ```ts
 * import { ConflictError } from "@wrenn/sdk";
 *
 * const asleep = (error: unknown) => error instanceof ConflictError && error.code === "sandbox_paused";
 * ```
 */
export class ConflictError extends WrennError {
  /** Name of the class. */
  override readonly name: string = "ConflictError";
}

/**
 * Too many requests (429), after the SDK's own retries.
 *
 * @example
 * ```ts
 * import { RateLimitError } from "@wrenn/sdk";
 *
 * const waitMs = (error: unknown) => error instanceof RateLimitError ? error.retryAfterMs ?? 1000 : 0;
 * ```
 */
export class RateLimitError extends WrennError {
  /** How long the platform asks to wait, milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Name of the class. */
  override readonly name: string = "RateLimitError";

  /**
   * Made by the SDK.
   *
   * @param retryAfterMs How long the platform asks to wait, milliseconds.
   */
  constructor(
    code: string,
    message: string,
    options: WrennErrorOptions = {},
    retryAfterMs?: number,
  ) {
    super(code, message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * It took too long: the platform said so (408, 504), the SDK's own limit passed, or the command was killed
 * at its `timeoutMs` (code `command_timeout`).
 *
 * @example
 * ```ts
 * import { TimeoutError } from "@wrenn/sdk";
 *
 * const slow = (error: unknown) => error instanceof TimeoutError;
 * ```
 */
export class TimeoutError extends WrennError {
  /** What the command wrote until it was killed; only with code `command_timeout`. */
  readonly result: CommandResult | undefined;
  /** Name of the class. */
  override readonly name: string = "TimeoutError";

  /**
   * Made by the SDK.
   *
   * @param result What a command wrote until it was killed.
   */
  constructor(
    code: string,
    message: string,
    options: WrennErrorOptions = {},
    result?: CommandResult,
  ) {
    super(code, message, options);
    this.result = result;
  }
}

/**
 * The platform, a host or the guest cannot serve (502, 503), or the connection failed
 * (`connection_failed`, `connection_lost`).
 *
 * @example
 * ```ts
 * import { UnavailableError } from "@wrenn/sdk";
 *
 * const tryLater = (error: unknown) => error instanceof UnavailableError;
 * ```
 */
export class UnavailableError extends WrennError {
  /** Name of the class. */
  override readonly name: string = "UnavailableError";
}

/**
 * The sandbox's disk is full: 507.
 *
 * @example
 * ```ts
 * import { NoSpaceError } from "@wrenn/sdk";
 *
 * const full = (error: unknown) => error instanceof NoSpaceError;
 * ```
 */
export class NoSpaceError extends WrennError {
  /** Name of the class. */
  override readonly name: string = "NoSpaceError";
}

/**
 * A command ended with an exit code other than 0. Pass `check: false` to get the result instead.
 *
 * @example
 * ```ts
 * import { CommandExitError, Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * try {
 *   await sandbox.commands.run("ls /nowhere");
 * } catch (error) {
 *   if (error instanceof CommandExitError) console.error(error.result.stderr);
 * }
 * ```
 */
export class CommandExitError extends WrennError {
  /** The finished command. */
  readonly result: CommandResult;
  /** Name of the class. */
  override readonly name: string = "CommandExitError";

  /**
   * Made by the SDK.
   *
   * @param result The finished command.
   */
  constructor(result: CommandResult) {
    const said = result.stderr.trim().slice(-500);
    super(
      "command_failed",
      `Command exited with code ${result.exitCode}${said === "" ? "" : `: ${said}`}`,
    );
    this.result = result;
  }

  /** Exit code; 128 + signal number when a signal ended the command. */
  get exitCode(): number {
    return this.result.exitCode;
  }
}
