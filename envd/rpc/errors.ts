/** Errors of the guest on the Connect wire: E2B's codes where its clients look, Wrenn's in the metadata. */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { CODE_HEADER, toConnectError } from "@wrenn/common/connect_error";
import { WrennError } from "@wrenn/common/errors";
import { logger } from "@wrenn/common/log";
import { fileError } from "../files/file_error.ts";

/** The ConnectError for anything thrown. E2B's clients expect an unknown user to be `unauthenticated`. */
export function wireError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof DOMException && error.name === "AbortError") {
    return new ConnectError("The client went away", Code.Canceled, { [CODE_HEADER]: "canceled" });
  }
  const known = fileError(error);
  if (known.code === "invalid_user") {
    return new ConnectError(known.message, Code.Unauthenticated, { [CODE_HEADER]: known.code });
  }
  return toConnectError(known);
}

/** Turns what handlers throw, before and within a stream, into wire errors; logs our own faults. */
export const errorInterceptor: Interceptor = (next) => async (request) => {
  const translate = (error: unknown): ConnectError => {
    const wire = wireError(error);
    if (wire.code === Code.Internal) {
      const cause = error instanceof WrennError ? error.cause ?? error : error;
      logger("envd", "rpc").error("Request failed", { method: request.url, error: cause });
    }
    return wire;
  };
  try {
    const response = await next(request);
    if (!response.stream) return response;
    return { ...response, message: translated(response.message, translate) };
  } catch (error) {
    throw translate(error);
  }
};

async function* translated<T>(
  messages: AsyncIterable<T>,
  translate: (error: unknown) => ConnectError,
): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw translate(error);
  }
}
