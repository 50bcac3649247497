import { assert, assertEquals } from "@std/assert";
import { ERROR_CODES, type ErrorCode, isErrorCode } from "@wrenn/common";
import { MALFORMED, malformedRequest } from "../../api/testing/malformed.ts";
import { assertError, call } from "./lib/http.ts";
import { platform, platformHost } from "./lib/platform.ts";
import { sharedSandbox } from "./lib/sandbox.ts";
import { rawSocket } from "./lib/socket.ts";
import { test } from "./lib/test.ts";

const sandbox = sharedSandbox();

test(`${MALFORMED.length} malformed requests get a documented 4xx each`, async () => {
  const { apiUrl, apiKey } = platform();
  const target = { base: apiUrl, key: apiKey, id: sandbox().id };
  const wrong: string[] = [];
  for (const sample of MALFORMED) {
    const response = await fetch(malformedRequest(sample, target));
    const text = await response.text();
    const code = codeOf(text);
    const expected = code !== undefined && sample.codes.includes(code) &&
      response.status === ERROR_CODES[code].http && response.status < 500;
    if (!expected) wrong.push(`${sample.name}: ${response.status} ${text.slice(0, 200)}`);
  }
  assertEquals(wrong, []);
  await healthy();
});

test("WebSockets that say nothing are closed, and broken ones are forgotten", async () => {
  const paths = ["exec/stream", "files/watch"].map((p) => `/v1/sandboxes/${sandbox().id}/${p}`);
  const mute = await Promise.all(paths.map((path) => rawSocket(path)));
  const gone = await Promise.all(
    Array.from({ length: 20 }, (_, i) => rawHandshake(paths[i % paths.length] ?? "")),
  );
  for (const connection of gone) connection.close();
  const busy = await Promise.all(paths.map((path) => rawHandshake(path)));
  for (const connection of busy) {
    await connection.write(new Uint8Array([0xff, 0xff, 0xff, 0xff, 9]));
  }
  for (const socket of mute) {
    const { messages, code } = await socket.ended;
    assertEquals(messages.map((m) => m["type"]), ["error"]);
    assertEquals(code, 4408);
    await socket[Symbol.asyncDispose]();
  }
  for (const connection of busy) {
    await drain(connection);
    connection.close();
  }
  await healthy();
});

test("WebSocket messages that are too large, binary or nested too deep are refused", async () => {
  const path = `/v1/sandboxes/${sandbox().id}/exec/stream`;
  const cases: [string | Uint8Array, number][] = [
    [new Uint8Array([1, 2, 3]), 4400],
    [`{"cmd":${"[".repeat(5000)}${"]".repeat(5000)}}`, 4400],
    [JSON.stringify({ cmd: "true", args: ["x".repeat(2_000_000)] }), 1009],
    [JSON.stringify({ cmd: "true", env: { "A=B": "x" } }), 4400],
  ];
  for (const [message, expected] of cases) {
    await using socket = await rawSocket(path);
    socket.send(message);
    assertEquals((await socket.ended).code, expected);
  }
  await healthy();
});

test("Bodies that break off and requests that are not HTTP end their own connection alone", async () => {
  const { host } = new URL(platform().apiUrl);
  const head = (path: string, length: number): string =>
    `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nx-api-key: ${platform().apiKey}\r\n` +
    `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
  const file = `/v1/sandboxes/${sandbox().id}/files/stream/write?path=/tmp/broken`;
  const texts = [
    head("/v1/sandboxes", 1000) + '{"template":',
    head(file, 1_000_000) + "x".repeat(1000),
    head("/v1/sandboxes", 10).replace("content-length: 10", "transfer-encoding: chunked") +
    "zz\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "\0\0\0\0\0\0\r\n\r\n",
    `GET /health HTTP/1.1\r\nhost: ${host}\r\nx-long: ${"x".repeat(200_000)}\r\n\r\n`,
    `GET /health HTTP/1.1\r\nhost: ${host}\r\n`,
  ];
  const connections = await Promise.all(texts.map((text) => rawConnection(text)));
  await healthy();
  for (const connection of connections) connection.close();
  await healthy();
});

test("A key in the wrong place or form is refused", async () => {
  const keys = ["", "wrn_", `wrn_${"A".repeat(5000)}`, "' or 1=1 --", "e2b_" + "0".repeat(40)];
  for (const key of keys) {
    const answer = await call("GET", "/v1/sandboxes", { headers: { "x-api-key": key } });
    assertError(answer, 401, "unauthorized");
  }
});

/** The platform's processes live, and its sandbox works. */
async function healthy(): Promise<void> {
  const { agentPid, apiPid } = platformHost();
  for (const pid of [agentPid, apiPid]) assert((await Deno.stat(`/proc/${pid}`)).isDirectory);
  assertEquals((await call("GET", "/ready")).status, 200);
  assertEquals((await sandbox().commands.run(["echo", "alive"])).stdout, "alive\n");
}

async function rawConnection(text: string): Promise<Deno.Conn> {
  const { hostname, port } = new URL(platform().apiUrl);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  } catch (error) {
    // The platform may refuse before it has read all.
    const refused = error instanceof Deno.errors.BrokenPipe ||
      error instanceof Deno.errors.ConnectionReset;
    if (!refused) throw error;
  }
  return connection;
}

/** A WebSocket handshake without a WebSocket behind it. */
async function rawHandshake(path: string): Promise<Deno.Conn> {
  const { host } = new URL(platform().apiUrl);
  const connection = await rawConnection(
    `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nx-api-key: ${platform().apiKey}\r\n` +
      "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
      "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const answer = new Uint8Array(4096);
  const count = await connection.read(answer) ?? 0;
  const text = new TextDecoder().decode(answer.subarray(0, count));
  assert(text.startsWith("HTTP/1.1 101 "), text);
  return connection;
}

/** Reads until the other side has closed. */
async function drain(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    while (await connection.read(buffer) !== null);
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
}

function codeOf(text: string): ErrorCode | undefined {
  try {
    const { code } = (JSON.parse(text) as { error: { code: string } }).error;
    return isErrorCode(code) ? code : undefined;
  } catch {
    return undefined; // not the error shape
  }
}
