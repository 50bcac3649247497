/** What surrounds every call: errors become Connect errors with our code, and one log line tells the outcome. */
import type { Interceptor } from "@connectrpc/connect";
import { logger, toConnectError, WrennError } from "@wrenn/common";

/** Codes that tell of a fault on this host rather than of the request. */
const FAULTS: ReadonlySet<string> = new Set(["internal", "guest_unavailable", "no_space"]);
/** Calls that change nothing and come often: their successes are told at `debug`. */
const CHATTY: ReadonlySet<string> = new Set([
  "GetHostInfo",
  "GetSandbox",
  "GetStats",
  "ListSandboxes",
  "PingSandbox",
]);

/** The outermost interceptor. A stream is logged when it ends. */
export const operation: Interceptor = (next) => async (request) => {
  const began = performance.now();
  const done = (error?: unknown): void => log(request.method.name, began, error);
  try {
    const response = await next(request);
    if (!response.stream) {
      done();
      return response;
    }
    return { ...response, message: observed(response.message, done) };
  } catch (error) {
    done(error);
    throw toConnectError(error);
  }
};

async function* observed<T>(
  messages: AsyncIterable<T>,
  done: (error?: unknown) => void,
): AsyncGenerator<T, void, undefined> {
  let ended = false;
  const finish = (error?: unknown): void => {
    if (!ended) done(error);
    ended = true;
  };
  try {
    yield* messages;
    finish();
  } catch (error) {
    finish(error);
    throw toConnectError(error);
  } finally {
    finish(new WrennError("canceled", "Reader left"));
  }
}

function log(name: string, began: number, error: unknown): void {
  const ms = Math.round((performance.now() - began) * 10) / 10;
  const log = logger("agent", "rpc");
  if (error === undefined) {
    const event = { operation: name, ms };
    return CHATTY.has(name)
      ? log.debug("Call succeeded", event)
      : log.info("Call succeeded", event);
  }
  const known = WrennError.from(error);
  const event = { operation: name, ms, code: known.code, error: known };
  if (FAULTS.has(known.code)) log.error("Call failed", event);
  else log.info("Call refused", event);
}
