import { assert, assertEquals } from "@std/assert";
import { Code, ConnectError } from "@connectrpc/connect";
import { CODE_HEADER, WrennError } from "@wrenn/common";
import { fromGuestFetch, fromGuestResponse, fromGuestRpc } from "./errors.ts";

function named(code: string): ConnectError {
  return new ConnectError("Said the guest", Code.Unknown, { [CODE_HEADER]: code });
}

Deno.test("fromGuestRpc() passes on what a guest has a say in, and nothing else", () => {
  for (const code of ["file_not_found", "is_directory", "no_space", "invalid_user"]) {
    assertEquals(fromGuestRpc(named(code), "file_not_found").code, code);
  }
  // A hostile guest must not pass for the platform.
  for (const code of ["sandbox_not_found", "unauthorized", "internal", "conflict", "nonsense"]) {
    assertEquals(fromGuestRpc(named(code), "file_not_found").code, "guest_unavailable");
  }
});

Deno.test("fromGuestRpc() reads the codes of a guest that names none", () => {
  const code = (connect: Code, message: string = "x"): string =>
    fromGuestRpc(new ConnectError(message, connect), "process_not_found").code;
  assertEquals(code(Code.NotFound), "process_not_found");
  assertEquals(code(Code.InvalidArgument), "invalid_request");
  assertEquals(code(Code.InvalidArgument, "protocol error: x"), "guest_unavailable");
  assertEquals(code(Code.Unauthenticated, "invalid username: 'x'"), "invalid_user");
  assertEquals(code(Code.Unauthenticated, "wrong token"), "guest_unavailable");
  assertEquals(code(Code.Unavailable), "guest_unavailable");
  assertEquals(
    fromGuestRpc(new TypeError("connection reset"), "file_not_found").code,
    "guest_unavailable",
  );
});

Deno.test("fromGuestRpc() tells a caller that left from a guest that broke", () => {
  const stop = new AbortController();
  const error = new ConnectError("aborted", Code.Canceled);
  assertEquals(fromGuestRpc(error, "file_not_found", stop.signal).code, "guest_unavailable");
  stop.abort();
  assertEquals(fromGuestRpc(error, "file_not_found", stop.signal).code, "canceled");
  assertEquals(fromGuestFetch(error, stop.signal).code, "canceled");
  const ours = new WrennError("sandbox_not_running", "Ended");
  assertEquals(fromGuestFetch(ours, stop.signal), ours);
});

Deno.test("fromGuestResponse() reads code and message, and bounds what it reads", async () => {
  const json = (status: number, body: unknown, code?: string): Response =>
    Response.json(body, { status, headers: code ? { [CODE_HEADER]: code } : {} });
  const error = await fromGuestResponse(json(400, { code: 400, message: "No" }, "not_directory"));
  assertEquals([error.code, error.message], ["not_directory", "No"]);
  assertEquals((await fromGuestResponse(json(404, { message: "x" }))).code, "file_not_found");
  assertEquals((await fromGuestResponse(json(507, "x"))).code, "no_space");
  assertEquals((await fromGuestResponse(json(500, {}))).code, "guest_unavailable");
  const long = await fromGuestResponse(json(404, { message: "x".repeat(10_000) }));
  assertEquals(long.message.length, 500);
  let pulls = 0;
  const endless = new ReadableStream({
    pull(controller) {
      pulls++;
      controller.enqueue(new Uint8Array(4096).fill(120));
    },
  });
  assertEquals(
    (await fromGuestResponse(new Response(endless, { status: 404 }))).code,
    "file_not_found",
  );
  assert(pulls < 10);
});
