import { assert, assertEquals } from "@std/assert";
import {
  AuthenticationError,
  ConflictError,
  InvalidRequestError,
  NoSpaceError,
  NotFoundError,
  RateLimitError,
  TimeoutError,
  UnavailableError,
  WrennError,
} from "../errors.ts";
import { errorFromAnswer, errorFromMessage } from "./error_map.ts";

const CLASSES = [
  [400, InvalidRequestError],
  [401, AuthenticationError],
  [403, AuthenticationError],
  [404, NotFoundError],
  [408, TimeoutError],
  [409, ConflictError],
  [413, InvalidRequestError],
  [429, RateLimitError],
  [500, WrennError],
  [502, UnavailableError],
  [503, UnavailableError],
  [504, TimeoutError],
  [507, NoSpaceError],
] as const;

Deno.test("errorFromAnswer() picks the class by the status and keeps code, message and request id", () => {
  for (const [status, ErrorClass] of CLASSES) {
    const body = JSON.stringify({ error: { code: "some_code", message: "Some sentence" } });
    const error = errorFromAnswer({ status, body, requestId: "req-7" });
    assertEquals(error.constructor, ErrorClass);
    assertEquals(error.name, ErrorClass.name);
    assertEquals([error.code, error.message], ["some_code", "Some sentence"]);
    assertEquals([error.status, error.requestId], [status, "req-7"]);
  }
});

Deno.test("errorFromAnswer() makes a code of the status when a proxy answers", () => {
  for (const body of ["<html>Bad gateway</html>", "", "[]", '{"error":"text"}', '{"error":{}}']) {
    const error = errorFromAnswer({ status: 502, body });
    assert(error instanceof UnavailableError);
    assertEquals(error.code, "http_502");
  }
});

Deno.test("errorFromAnswer() keeps how long to wait", () => {
  const error = errorFromAnswer({ status: 429, body: "", retryAfterMs: 4000 });
  assert(error instanceof RateLimitError);
  assertEquals(error.retryAfterMs, 4000);
});

Deno.test("errorFromMessage() picks the class by the code", () => {
  const error = errorFromMessage({ code: "file_not_found", message: "File '/x' not found" });
  assert(error instanceof NotFoundError);
  assertEquals(error.status, 404);
  assertEquals(errorFromMessage({ code: "brand_new", message: "What" }).constructor, WrennError);
  assertEquals(errorFromMessage("broken").code, "invalid_response");
});
