import { assert, assertEquals, assertRejects } from "@std/assert";
import { delay } from "@wrenn/common";
import { TEST_KEY } from "../testing/fake_services.ts";
import { TestApp, type TestSocket } from "../testing/test_app.ts";

async function open(t: TestApp, command?: unknown): Promise<TestSocket> {
  const socket = await t.socket(`/v1/sandboxes/${await t.create()}/exec/stream`);
  if (command !== undefined) await socket.send(command);
  return socket;
}

Deno.test("exec/stream sends start, output and exit, and closes with 1000", async () => {
  await using t = new TestApp();
  const socket = await open(t, { cmd: "echo", args: ["hi"] });
  assertEquals(await socket.closed, 1000);
  assertEquals(socket.messages, [
    { type: "start", pid: 42 },
    { type: "stdout", data: "hi\n" },
    { type: "exit", exit_code: 0, timed_out: false, duration_ms: 1 },
  ]);
});

Deno.test("exec/stream keeps characters whole and sends other bytes in base64", async () => {
  await using t = new TestApp();
  const whole = await open(t, { cmd: "bytes", args: ["61c3", "a9", "f09f", "9880", "62"] });
  await whole.closed;
  assertEquals(whole.text("stdout"), "a\u00e9\u{1f600}b");
  assert(whole.messages.every((m) => m.encoding === undefined));
  const binary = await open(t, { cmd: "bytes", args: ["ff00", "c3"] });
  await binary.closed;
  assertEquals(binary.messages.filter((m) => m.type === "stdout"), [
    { type: "stdout", data: "/wA=", encoding: "base64" },
    { type: "stdout", data: "ww==", encoding: "base64" },
  ]);
});

Deno.test("exec/stream takes input as text and as base64, and its end", async () => {
  await using t = new TestApp();
  const socket = await open(t, { cmd: "cat", stdin: true });
  await socket.send({ type: "stdin", data: "h\u00e9" });
  await socket.until((m) => m.data === "h\u00e9");
  await socket.send({ type: "stdin", data: "AP8=", encoding: "base64" });
  await socket.send({ type: "stdin_close" });
  assertEquals(await socket.closed, 1000);
  assertEquals(socket.messages.at(-2), { type: "stdout", data: "AP8=", encoding: "base64" });
});

Deno.test("exec/stream gives end of file to a command without stdin", async () => {
  await using t = new TestApp();
  const socket = await open(t, { cmd: "cat" });
  assertEquals(await socket.closed, 1000);
  assertEquals(socket.messages.at(-1)?.exit_code, 0);
});

Deno.test("exec/stream resizes a terminal and delivers signals by name and number", async () => {
  await using t = new TestApp();
  for (const [signal, code] of [["SIGINT", 130], [15, 143]] as const) {
    const socket = await open(t, { cmd: "size", pty: { cols: 80, rows: 24 } });
    await socket.until((m) => m.data === "24 80\n");
    await socket.send({ type: "resize", cols: 100, rows: 30 });
    await socket.until((m) => m.data === "30 100\n");
    await socket.send({ type: "signal", signal });
    assertEquals(await socket.closed, 1000);
    assertEquals(socket.messages.at(-1)?.exit_code, code);
  }
});

Deno.test("exec/stream tells what the guest refuses", async () => {
  await using t = new TestApp();
  const socket = await open(t, { cmd: "/no/such" });
  assertEquals(await socket.closed, 1000);
  const error = socket.messages.at(-1)?.error as { code: string };
  assertEquals(error.code, "command_not_found");
});

Deno.test("exec/stream refuses malformed messages with 4400", async () => {
  await using t = new TestApp();
  const firsts = [
    "{",
    "null",
    "[]",
    "7",
    '{"__proto__":{},"cmd":"true"}',
    "[".repeat(1000),
    {},
    { cmd: "" },
    { cmd: "true", pty: { cols: 0, rows: 24 } },
    { cmd: "true", pty: { cols: 80, rows: 1e9 } },
    { cmd: "true", stdin: "yes" },
    { cmd: "true", unknown: 1 },
    { cmd: "tr\0ue" },
    { cmd: "true", cwd: "/\0" },
    { type: "stdin", data: "x" },
    new Uint8Array([1, 2, 3]),
  ];
  for (const first of firsts) {
    const socket = await open(t, first);
    assertEquals(await socket.closed, 4400, JSON.stringify(first).slice(0, 60));
    assertEquals(socket.messages.map((m) => m.type), ["error"]);
  }
  const seconds = [
    "nonsense",
    { type: "start" },
    { type: "stdin" },
    { type: "stdin", data: 5 },
    { type: "stdin", data: "***", encoding: "base64" },
    { type: "stdin", data: "x", encoding: "latin1" },
    { type: "signal", signal: "SIGNOPE" },
    { type: "signal", signal: 0 },
    { type: "signal", signal: 65 },
    { type: "resize", cols: -1, rows: 5 },
    { type: "resize", cols: 1.5, rows: 5 },
    { type: "stdin_close", extra: true },
    { cmd: "true" },
    new Uint8Array([1]),
  ];
  for (const second of seconds) {
    const socket = await open(t, { cmd: "cat", stdin: true });
    await socket.until((m) => m.type === "start");
    await socket.send(second);
    assertEquals(await socket.closed, 4400, JSON.stringify(second).slice(0, 60));
    assertEquals(socket.messages.at(-1)?.type, "error");
  }
  assertEquals((await t.request("GET", "/health")).status, 200);
});

Deno.test("exec/stream refuses a message that is too large", async () => {
  await using t = new TestApp({ messageBytes: 1000 });
  const socket = await open(t, { cmd: "cat", stdin: true, args: ["a".repeat(2000)] });
  assertEquals(await socket.closed, 1009);
  assertEquals((socket.messages.at(-1)?.error as { code: string }).code, "payload_too_large");
});

Deno.test("exec/stream gives up a client that says nothing", async () => {
  await using t = new TestApp({ firstMessageMs: 20 });
  const socket = await open(t);
  assertEquals(await socket.closed, 4408);
  assertEquals((socket.messages[0]?.error as { code: string }).code, "request_timeout");
});

Deno.test("exec/stream refuses before the upgrade with plain HTTP", async () => {
  await using t = new TestApp();
  const id = await t.create();
  const refused = async (path: string, headers?: Record<string, string>): Promise<string> => {
    const socket = await t.socket(path, headers);
    await socket.closed;
    return (await assertRejects(() => socket.opened, Error)).message;
  };
  const path = `/v1/sandboxes/${id}/exec/stream`;
  assert((await refused(path, { "x-api-key": "wrong" })).includes("401"));
  assert((await refused("/v1/sandboxes/sb-00000000/exec/stream")).includes("404"));
  assert((await refused("/v1/nothing")).includes("404"));
  await t.request("POST", `/v1/sandboxes/${id}/pause`);
  assert((await refused(path)).includes("409"));
});

Deno.test("exec/stream kills the process when the client leaves", async () => {
  await using t = new TestApp();
  const killed = Promise.withResolvers<void>();
  t.agent.programs.set("wait", async ({ killed: signal }) => {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    killed.resolve();
    return 137;
  });
  const socket = await open(t, { cmd: "wait" });
  await socket.until((m) => m.type === "start");
  await socket.close();
  await killed.promise;
});

Deno.test("exec/stream delivers a flood whole, whatever the limits", async () => {
  await using t = new TestApp({ unsentBytes: 1 });
  const socket = await open(t, { cmd: "flood", args: ["64"] });
  assertEquals(await socket.closed, 1000);
  assertEquals(socket.text("stdout").length, 64 * 65536);
});

Deno.test("exec/stream holds a client whose input the command does not read", async () => {
  await using t = new TestApp({ pendingBytes: 1000 });
  const go = Promise.withResolvers<void>();
  let size = 0;
  t.agent.programs.set("late", async ({ stdin }) => {
    await go.promise;
    for await (const piece of stdin) size += piece.length;
    return 0;
  });
  const socket = await open(t, { cmd: "late", stdin: true });
  for (let i = 0; i < 60; i++) await socket.send({ type: "stdin", data: "x".repeat(500_000) });
  await socket.send({ type: "stdin_close" });
  // The kernel takes some of the 30 MB, then everything stands still.
  for (let before = Infinity; socket.unsent !== before;) {
    before = socket.unsent;
    await delay(100);
  }
  assert(socket.unsent > 5_000_000, `Only ${socket.unsent} bytes wait at the client`);
  go.resolve();
  assertEquals(await socket.closed, 1000);
  assertEquals(size, 30_000_000);
});

Deno.test("exec/stream pings, and cuts off a client that does not answer", async () => {
  await using t = new TestApp({ socketIdleSec: 0.02 });
  const id = await t.create();
  const [hostname, port] = (await t.listen()).split(":");
  const conn = await Deno.connect({ hostname: hostname ?? "", port: Number(port) });
  await conn.write(new TextEncoder().encode(
    `GET /v1/sandboxes/${id}/exec/stream HTTP/1.1\r\nhost: x\r\nx-api-key: ${TEST_KEY}\r\n` +
      "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
      "sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
  ));
  // Reads and answers nothing: the handshake and the pings come, then the end.
  const reading = new Uint8Array(4096);
  let pings = 0;
  for (let n = await conn.read(reading); n !== null; n = await conn.read(reading)) {
    for (let i = 0; i < n; i++) if (reading[i] === 0x89) pings++;
  }
  assert(pings >= 2);
  conn.close();
});

Deno.test("close() says goodbye to open sockets", async () => {
  await using t = new TestApp();
  const socket = await open(t, { cmd: "sleep" });
  await socket.until((m) => m.type === "start");
  t.app.close();
  assertEquals(await socket.closed, 1001);
});
