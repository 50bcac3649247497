import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { delay, logger } from "@wrenn/common";
import { TEST_KEY } from "../testing/fake_services.ts";
import { TestApp } from "../testing/test_app.ts";
import { type FetchHandler, type HttpServer, listen, type ListenOptions } from "./server.ts";

const address = { transport: "tcp", hostname: "127.0.0.1", port: 0 } as const;
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function serve(fetch: FetchHandler, options: Partial<ListenOptions> = {}): Promise<HttpServer> {
  return listen({ address, fetch, log: logger("api", "test"), ...options });
}

function portOf(server: HttpServer): number {
  return server.address.transport === "tcp" ? server.address.port : 0;
}

/** Sends bytes as they are and reads until the server closes. */
async function raw(port: number, ...parts: string[]): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    for (const part of parts) await conn.write(encode(part));
    let text = "";
    for await (const piece of conn.readable) text += new TextDecoder().decode(piece);
    return text;
  } catch {
    return "cut";
  }
}

const CLOSE = "connection: close\r\n";

Deno.test("what is no HTTP is answered with an error of ours", async () => {
  await using t = new TestApp();
  const port = Number((await t.listen()).split(":")[1]);
  const key = `x-api-key: ${TEST_KEY}\r\n`;
  const cases: [string, RegExp][] = [
    ["GARBAGE\r\n\r\n", /^HTTP\/1\.1 400 .*invalid_request/s],
    ["GET /health HTTP/9.9\r\n\r\n", /^HTTP\/1\.1 400 .*invalid_request/s],
    ["GET /health HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", /^HTTP\/1\.1 400 .*invalid_request/s],
    [
      `GET /health HTTP/1.1\r\nhost: x\r\na: ${"b".repeat(60_000)}\r\n\r\n`,
      /^HTTP\/1\.1 431 .*headers_too_large/s,
    ],
    [`GET http://evil.test/health HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`, /^HTTP\/1\.1 404 /],
    [`OPTIONS * HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`, /^HTTP\/1\.1 404 /],
    [`TRACE / HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`, /^HTTP\/1\.1 405 /],
    [`GET //etc/passwd HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`, /^HTTP\/1\.1 404 /],
    [`GET /health HTTP/1.1\r\nhost: ][%zz\r\n${CLOSE}\r\n`, /^HTTP\/1\.1 200 /],
    // Request smuggling: two lengths, or a length and chunks, or chunks of no size.
    [
      `POST /v1/sandboxes HTTP/1.1\r\nhost: x\r\n${key}content-length: 2\r\ncontent-length: 3\r\n\r\n{}x`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      `POST /v1/sandboxes HTTP/1.1\r\nhost: x\r\n${key}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      `POST /v1/sandboxes HTTP/1.1\r\nhost: x\r\n${key}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
    // An upgrade to something else, and one with a body.
    [
      `GET /health HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n`,
      /^HTTP\/1\.1 200 /,
    ],
    [
      `POST /v1/sandboxes HTTP/1.1\r\nhost: x\r\n${key}connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\n{}`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      `GET /v1/sandboxes/sb-00000000/exec/stream HTTP/1.1\r\nhost: x\r\n${key}connection: upgrade\r\nupgrade: websocket\r\n\r\n`,
      /^HTTP\/1\.1 426 .*upgrade_required/s,
    ],
  ];
  for (const [request, answer] of cases) {
    assertMatch(await raw(port, request), answer);
  }
  assertEquals((await (await fetch(`http://127.0.0.1:${port}/health`)).json()).status, "ok");
});

Deno.test("a handshake that lies about its key is refused", async () => {
  await using t = new TestApp();
  const port = Number((await t.listen()).split(":")[1]);
  const id = await t.create();
  const answer = await raw(
    port,
    `GET /v1/sandboxes/${id}/exec/stream HTTP/1.1\r\nhost: x\r\nx-api-key: ${TEST_KEY}\r\n` +
      "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: x\r\n\r\n",
  );
  assertMatch(answer, /^HTTP\/1\.1 426 .*upgrade_required/s);
});

Deno.test("a request head that does not end is given up", async () => {
  const server = await serve(() => Promise.resolve(new Response("x")), { headTimeoutMs: 100 });
  const answer = await raw(portOf(server), "GET / HTTP/1.1\r\nhost: x\r\n");
  assertMatch(answer, /^HTTP\/1\.1 408 .*request_timeout/s);
  await server.drain(0);
});

Deno.test("a broken answer cuts the connection instead of ending it", async () => {
  const broken = (): Response => {
    const body = new ReadableStream({
      start: (c) => c.enqueue(encode("half")),
      pull: (c) => c.error(new Error("Guest lost")),
    }, { highWaterMark: 0 });
    return new Response(body, {
      headers: { "content-length": "8", "content-type": "application/octet-stream" },
    });
  };
  const server = await serve(() => Promise.resolve(broken()));
  await assertRejects(async () => {
    await (await fetch(`http://127.0.0.1:${portOf(server)}/`)).bytes();
  });
  await server.drain(0);
});

Deno.test("a client that leaves aborts the request and cancels the answer", async () => {
  const cancelled = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const server = await serve((request) => {
    request.signal.addEventListener("abort", () => aborted.resolve());
    const body = new ReadableStream({
      pull: (c) => c.enqueue(new Uint8Array(65536)),
      cancel: () => cancelled.resolve(),
    });
    const headers = { "content-type": "application/octet-stream" };
    return Promise.resolve(new Response(body, { headers }));
  });
  const response = await fetch(`http://127.0.0.1:${portOf(server)}/`);
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  await Promise.all([cancelled.promise, aborted.promise]);
  await server.drain(0);
});

Deno.test("an upload that is refused early still gets its answer", async () => {
  await using t = new TestApp();
  const base = await t.listen();
  let left = 64;
  const body = new ReadableStream({
    pull(controller) {
      if (left-- === 0) controller.close();
      else controller.enqueue(new Uint8Array(65536));
    },
  });
  using client = Deno.createHttpClient({});
  const response = await fetch(
    `http://${base}/v1/sandboxes/sb-00000000/files/stream/write?path=a`,
    {
      method: "POST",
      headers: { "x-api-key": TEST_KEY },
      body,
      client,
    },
  );
  assertEquals([response.status, (await response.json()).error.code], [404, "sandbox_not_found"]);
});

Deno.test("an upload whose client leaves is aborted at the agent", async () => {
  await using t = new TestApp();
  const base = await t.listen();
  const id = await t.create();
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(base.split(":")[1]) });
  await conn.write(encode(
    `POST /v1/sandboxes/${id}/files/stream/write?path=/tmp/half HTTP/1.1\r\nhost: x\r\n` +
      `x-api-key: ${TEST_KEY}\r\ncontent-length: 1000000\r\n\r\n${"a".repeat(200_000)}`,
  ));
  while (!t.agent.calls.includes("WriteFile")) await delay(5);
  conn.close();
  // The agent's side has ended when another write to the same path is served in full.
  const again = await t.request("POST", `/v1/sandboxes/${id}/files/stream/write?path=/tmp/b`, "x");
  assertEquals(again.status, 200);
  const stat = await t.request("POST", `/v1/sandboxes/${id}/files/stat`, { path: "/tmp/half" });
  assertEquals((await stat.json()).error.code, "file_not_found");
});

Deno.test("a sender of small chunks is held by a slow reader", async () => {
  const taken = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  let size = 0;
  const server = await serve(async (request) => {
    for await (const piece of request.body ?? []) {
      size += piece.length;
      taken.resolve();
      await go.promise;
    }
    return new Response("done");
  });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) });
  await conn.write(encode("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"));
  const chunk = encode(`3e8\r\n${"a".repeat(1000)}\r\n`.repeat(1000));
  let sent = 0;
  const sending = (async () => {
    for (let i = 0; i < 64; i++) {
      for (let at = 0; at < chunk.length;) at += await conn.write(chunk.subarray(at));
      sent++;
    }
    await conn.write(encode("0\r\n\r\n"));
  })();
  await taken.promise;
  // What the kernel takes of the 64 MB is a few; nobody takes the rest.
  let before = -1;
  while (sent !== before) {
    before = sent;
    await delay(100);
  }
  assert(sent < 32, `Sent ${sent} of 64 MB to a reader that waits`);
  go.resolve();
  await sending;
  const answer = new Uint8Array(1024);
  const n = await conn.read(answer) ?? 0;
  assertMatch(new TextDecoder().decode(answer.subarray(0, n)), /done/);
  assertEquals(size, 64_000_000);
  conn.close();
  await server.drain(0);
});

Deno.test("drain() lets a request under way end and takes no more", async () => {
  const go = Promise.withResolvers<void>();
  const under = Promise.withResolvers<void>();
  const server = await serve(async () => {
    under.resolve();
    await go.promise;
    return new Response("late");
  });
  const url = `http://127.0.0.1:${portOf(server)}/`;
  using client = Deno.createHttpClient({});
  const response = fetch(url, { client });
  await under.promise;
  const drained = server.drain(10_000);
  await assertRejects(() => fetch(url, { headers: { connection: "close" } }));
  go.resolve();
  assertEquals(await (await response).text(), "late");
  client.close();
  await drained;
});

Deno.test("listen() says that the address is taken", async () => {
  const server = await serve(() => Promise.resolve(new Response("x")));
  const taken = { ...address, port: portOf(server) };
  await assertRejects(
    () =>
      listen({ address: taken, fetch: () => Promise.resolve(new Response()), log: logger("x") }),
    Deno.errors.AddrInUse,
  );
  await server.drain(0);
});
