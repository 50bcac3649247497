/** WrennError on the Connect wire and back: the code travels in the metadata `wrenn-code`. */
import { Code, ConnectError } from "@connectrpc/connect";
import { ERROR_CODES, type ErrorCode, isErrorCode } from "./error_codes.ts";
import { WrennError } from "./errors.ts";

/** Metadata key that carries the Wrenn code. */
export const CODE_HEADER = "wrenn-code";

/** The ConnectError that a handler throws for any error. Internal causes stay out of it. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const known = WrennError.from(error);
  const connect = new ConnectError(known.message, ERROR_CODES[known.code].connect, {
    [CODE_HEADER]: known.code,
  });
  connect.cause = known;
  return connect;
}

/** The WrennError behind whatever an RPC client threw. A lost connection becomes `unavailable`. */
export function fromConnectError(
  error: unknown,
  unavailable: ErrorCode = "unavailable",
): WrennError {
  if (error instanceof WrennError) return error;
  const connect = ConnectError.from(error);
  const named = connect.metadata.get(CODE_HEADER);
  if (named !== null && isErrorCode(named)) {
    return new WrennError(named, connect.rawMessage, { cause: error });
  }
  switch (connect.code) {
    case Code.Canceled:
      return new WrennError("canceled", "Request canceled", { cause: error });
    case Code.DeadlineExceeded:
      return new WrennError("timeout", "Deadline exceeded", { cause: error });
    case Code.Unavailable:
      return new WrennError(unavailable, "Service unavailable", { cause: error });
    case Code.Unauthenticated:
      return new WrennError("unauthorized", connect.rawMessage, { cause: error });
    case Code.NotFound:
      return new WrennError("not_found", connect.rawMessage, { cause: error });
    case Code.InvalidArgument:
      return new WrennError("invalid_request", connect.rawMessage, { cause: error });
    default:
      // fetch() reports a refused or broken connection as a TypeError, which Connect maps to Unknown or Internal.
      return isConnectionLoss(connect)
        ? new WrennError(unavailable, "Connection lost", { cause: error })
        : new WrennError("internal", "Internal error", { cause: error });
  }
}

function isConnectionLoss(error: ConnectError): boolean {
  const cause = error.cause;
  return cause instanceof TypeError || cause instanceof Deno.errors.ConnectionReset ||
    cause instanceof Deno.errors.ConnectionRefused || cause instanceof Deno.errors.BrokenPipe ||
    cause instanceof Deno.errors.UnexpectedEof;
}
