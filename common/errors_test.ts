import { assert, assertEquals } from "@std/assert";
import { Code, ConnectError } from "@connectrpc/connect";
import { ERROR_CODES, isErrorCode } from "./error_codes.ts";
import { CODE_HEADER, fromConnectError, toConnectError } from "./connect_error.ts";
import { WrennError } from "./errors.ts";

Deno.test("every error code survives the Connect wire", () => {
  for (const code of Object.keys(ERROR_CODES)) {
    assert(isErrorCode(code));
    const sent = toConnectError(new WrennError(code, "Sentence"));
    assertEquals(sent.code, ERROR_CODES[code].connect);
    const received = fromConnectError(new ConnectError(sent.rawMessage, sent.code, sent.metadata));
    assertEquals([received.code, received.message], [code, "Sentence"]);
  }
});

Deno.test("toConnectError() hides what is not a WrennError", () => {
  const sent = toConnectError(new Error("/var/lib/secret"));
  assertEquals([sent.code, sent.rawMessage], [Code.Internal, "Internal error"]);
  assertEquals(sent.metadata.get(CODE_HEADER), "internal");
});

Deno.test("fromConnectError() takes a lost connection for the given code", () => {
  const lost = ConnectError.from(new TypeError("error sending request"));
  assertEquals(fromConnectError(lost, "host_unavailable").code, "host_unavailable");
  assertEquals(fromConnectError(new Error("odd")).code, "internal");
});

Deno.test("isErrorCode() refuses names that every object has", () => {
  assert(!isErrorCode("toString"));
  assert(!isErrorCode("__proto__"));
});
