import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeServer } from "../testing/fake_server.ts";
import {
  AuthenticationError,
  InvalidRequestError,
  NotFoundError,
  RateLimitError,
  Sandbox,
  TimeoutError,
  UnavailableError,
  WrennError,
} from "../mod.ts";

const refusal = (status: number, headers: Record<string, string> = {}): Response =>
  Response.json({ error: { code: "unavailable", message: "Not now" } }, { status, headers });

Deno.test("A read is tried again after 503 and 429", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  server.faults.push(refusal(503, { "retry-after": "0" }), refusal(429, { "retry-after": "0" }));
  assertEquals((await sandbox.info()).id, sandbox.id);
  assertEquals(server.seen.filter(({ method }) => method === "GET").length, 3);
});

Deno.test("A read gives up after maxRetries with the last error", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create({ ...server.options, maxRetries: 1 });
  const wait = { "retry-after": "0" };
  server.faults.push(refusal(429, wait), refusal(429, wait));
  const error = await assertRejects(() => sandbox.info(), RateLimitError, "Not now");
  assertEquals(error.retryAfterMs, 0);
});

Deno.test("A create is not sent again after 503, for it may have happened", async () => {
  await using server = new FakeServer();
  server.faults.push(refusal(503, { "retry-after": "0" }));
  await assertRejects(() => Sandbox.create(server.options), UnavailableError);
  assertEquals(server.seen.length, 1);
});

Deno.test("A stream is not sent again, bytes are", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const before = server.seen.length;
  server.faults.push(refusal(503, { "retry-after": "0" }));
  const stream = new Blob(["data"]).stream();
  await assertRejects(() => sandbox.files.write("/a", stream), UnavailableError);
  assertEquals(server.seen.length, before + 1);
  server.faults.push(refusal(503, { "retry-after": "0" }));
  await sandbox.files.write("/a", "data");
  assertEquals(await sandbox.files.read("/a"), "data");
});

Deno.test("A connection that is cut is tried again for a read and not for a create", async () => {
  let connections = 0;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      connections++;
      await connection.read(new Uint8Array(1024));
      connection.close();
    }
  })();
  const options = { apiUrl: `http://127.0.0.1:${listener.addr.port}`, apiKey: "k", maxRetries: 1 };
  const error = await assertRejects(() => Sandbox.create(options), UnavailableError);
  assertEquals([error.code, connections], ["connection_failed", 1]);
  await assertRejects(() => Sandbox.connect("sb-00000000", options), UnavailableError);
  assertEquals(connections, 3);
  listener.close();
  await serving;
});

Deno.test("A refused connection is tried again for every call", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const apiUrl = `http://127.0.0.1:${free.addr.port}`;
  free.close();
  const error = await assertRejects(
    () => Sandbox.create({ apiUrl, apiKey: "k", maxRetries: 1 }),
    UnavailableError,
    apiUrl,
  );
  assertEquals(error.code, "connection_failed");
  assert(error.cause instanceof Error);
});

Deno.test("An answer that does not come is a TimeoutError", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const run = sandbox.commands.run(["hang"], { timeoutMs: 1, requestTimeoutMs: 1 });
  const error = await assertRejects(() => run, TimeoutError);
  assertEquals([error.code, error.result], ["request_timeout", undefined]);
});

Deno.test("An AbortSignal ends a call with its reason", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const abort = new AbortController();
  const run = sandbox.commands.run(["hang"], { signal: abort.signal });
  abort.abort(new RangeError("Enough"));
  await assertRejects(() => run, RangeError, "Enough");
  const signal = AbortSignal.abort(new RangeError("Never"));
  await assertRejects(() => sandbox.info({ signal }), RangeError, "Never");
  const { signal: late } = abort;
  await assertRejects(() => sandbox.commands.run("echo", { signal: late }), RangeError, "Enough");
});

Deno.test("An AbortSignal ends the wait between two attempts", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  server.faults.push(refusal(503, { "retry-after": "25" }));
  const abort = new AbortController();
  const info = sandbox.info({ signal: abort.signal });
  setTimeout(() => abort.abort(new RangeError("Enough")), 20);
  await assertRejects(() => info, RangeError, "Enough");
});

Deno.test("Errors carry class, code, status and request id", async () => {
  await using server = new FakeServer();
  const wrongKey = { ...server.options, apiKey: "wrn_wrong" };
  const refused = await assertRejects(() => Sandbox.create(wrongKey), AuthenticationError);
  assertEquals([refused.code, refused.status, refused.requestId], ["unauthorized", 401, "req-1"]);
  const gone = await assertRejects(
    () => Sandbox.connect("sb-ffffffff", server.options),
    NotFoundError,
    "sb-ffffffff",
  );
  assertEquals(gone.code, "sandbox_not_found");
});

Deno.test("An id that could lead to another path is refused before any call", async () => {
  await using server = new FakeServer();
  for (const id of ["..", "a/b", "", "sb-1?x", "x".repeat(65)]) {
    await assertRejects(() => Sandbox.connect(id, server.options), InvalidRequestError);
  }
  assertEquals(server.seen.length, 0);
});

Deno.test("A redirect is not followed, so that the key stays here", async () => {
  await using server = new FakeServer();
  const elsewhere = { location: "http://127.0.0.1:1/" };
  server.faults.push(new Response(null, { status: 302, headers: elsewhere }));
  const error = await assertRejects(() => Sandbox.create(server.options), WrennError);
  assertEquals(error.code, "http_302");
});

Deno.test("An answer that is not JSON is a WrennError", async () => {
  await using server = new FakeServer();
  server.faults.push(new Response("<html>"), new Response("7"));
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(() => Sandbox.create(server.options), WrennError);
    assertEquals(error.code, "invalid_response");
  }
});

Deno.test("An address with a path of its own keeps it", async () => {
  await using server = new FakeServer();
  const apiUrl = `${server.options.apiUrl}/prefix/`;
  await assertRejects(() => Sandbox.create({ ...server.options, apiUrl }), NotFoundError);
  assertEquals(server.seen[0]?.path, "/prefix/v1/sandboxes");
});
