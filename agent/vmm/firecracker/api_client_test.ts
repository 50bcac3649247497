import { assert, assertEquals, assertRejects } from "@std/assert";
import { FirecrackerApi, MAX_BODY_BYTES } from "./api_client.ts";
import { FirecrackerError } from "./firecracker_error.ts";

const OK = "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n";
const call = { method: "PUT", path: "/logger", body: { level: "Info" } } as const;

/** A server that reads whole requests and answers with raw text; undefined for no answer. */
class FakeFirecracker implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync();
  readonly socket = `${this.folder}/api.sock`;
  /** Requests as they came. */
  readonly requests: string[] = [];
  connections = 0;
  readonly #listener = Deno.listen({ transport: "unix", path: this.socket });
  readonly #answer: (request: string) => string | undefined | "hang up";
  readonly #open = new Set<Deno.Conn>();
  readonly #served: Promise<unknown>;

  constructor(answer: (request: string) => string | undefined | "hang up") {
    this.#answer = answer;
    this.#served = this.#accept();
  }

  async #accept(): Promise<void> {
    const serving: Promise<void>[] = [];
    try {
      for await (const conn of this.#listener) serving.push(this.#serve(conn));
    } catch {
      // The test is over.
    }
    await Promise.all(serving);
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    this.connections++;
    this.#open.add(conn);
    let text = "";
    try {
      const buffer = new Uint8Array(65536);
      const decoder = new TextDecoder();
      for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
        text += decoder.decode(buffer.subarray(0, n), { stream: true });
        const [head = "", body] = text.split("\r\n\r\n");
        const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
        if (body === undefined || new TextEncoder().encode(body).length < length) continue;
        this.requests.push(text);
        const answer = this.#answer(text);
        text = "";
        if (answer === "hang up") break;
        const bytes = new TextEncoder().encode(answer ?? "");
        for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      }
    } catch {
      // The client or the test has closed it.
    }
    this.#close(conn);
  }

  #close(conn: Deno.Conn): void {
    if (this.#open.delete(conn)) conn.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#open) this.#close(conn);
    await this.#served;
    await Deno.remove(this.folder, { recursive: true });
  }
}

function answer(status: number, body: string): string {
  return `HTTP/1.1 ${status} \r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

async function failure(work: Promise<unknown>): Promise<FirecrackerError> {
  return await assertRejects(() => work, FirecrackerError) as FirecrackerError;
}

Deno.test("FirecrackerApi.send() sends JSON of known length, over one connection", async () => {
  await using fake = new FakeFirecracker(() => OK);
  using api = new FirecrackerApi(fake.socket);
  for (let n = 0; n < 20; n++) await api.send(call);
  assertEquals(fake.connections, 1);
  const [head = "", body] = fake.requests[0]?.split("\r\n\r\n") ?? [];
  assert(/^PUT \S*\/logger HTTP\/1\.1\r\n/.test(head), head);
  assert(/^content-length: 16$/im.test(head), head);
  assert(!/transfer-encoding/i.test(head), head);
  assert(head.split("\r\n").every((line) => line.length < 1024), "Firecracker reads short lines");
  assertEquals(body, '{"level":"Info"}');
});

Deno.test("FirecrackerApi.send() tells who was refused and in which words", async () => {
  await using fake = new FakeFirecracker(() => answer(400, '{"fault_message":"No such thing"}'));
  using api = new FirecrackerApi(fake.socket);
  const error = await failure(api.send(call));
  assertEquals(error.message, "Firecracker refuses PUT /logger: No such thing");
  assertEquals(
    [error.name, error.failure, error.call, error.status, error.fault],
    ["FirecrackerError", "refused", "PUT /logger", 400, "No such thing"],
  );
});

Deno.test("FirecrackerApi.send() takes a refusal of the HTTP layer as it is", async () => {
  // A line feed inside a string is no JSON.
  const text = '{ "error": "Invalid request.\nAll previous unanswered requests will be dropped." }';
  for (const body of [text, "", "x".repeat(5000)]) {
    await using fake = new FakeFirecracker(() => answer(503, body));
    using api = new FirecrackerApi(fake.socket);
    const { failure: kind, status, fault } = await failure(api.send(call));
    assertEquals([kind, status, fault], ["refused", 503, body.slice(0, 1000)]);
  }
});

Deno.test("FirecrackerApi does not believe in other answers", async () => {
  const info = '{"id":"a","state":"Dancing","vmm_version":"1.15.1","app_name":"Firecracker"}';
  for (const text of [answer(200, "{}"), answer(302, ""), answer(202, "")]) {
    await using fake = new FakeFirecracker(() => text);
    using api = new FirecrackerApi(fake.socket);
    assertEquals((await failure(api.send(call))).failure, "protocol", text);
  }
  for (const text of [answer(200, "{}"), answer(200, "no"), answer(200, info), OK]) {
    await using fake = new FakeFirecracker(() => text);
    using api = new FirecrackerApi(fake.socket);
    assertEquals((await failure(api.info())).failure, "protocol", text);
  }
});

Deno.test("FirecrackerApi stops reading an answer that does not end", async () => {
  const head = "HTTP/1.1 400 \r\nContent-Length: 99999999\r\n\r\n";
  await using fake = new FakeFirecracker(() => head + "x".repeat(3 << 20));
  using api = new FirecrackerApi(fake.socket);
  assertEquals((await failure(api.send(call))).failure, "protocol");
});

Deno.test("FirecrackerApi.info() reads what Firecracker is", async () => {
  const info = { id: "a", state: "Paused", vmm_version: "1.15.1", app_name: "Firecracker" };
  await using fake = new FakeFirecracker(() => answer(200, JSON.stringify({ ...info, more: 1 })));
  using api = new FirecrackerApi(fake.socket);
  assertEquals(await api.info(), info as Awaited<ReturnType<typeof api.info>>);
  assert(/^GET \S*\/ HTTP\/1\.1\r\n/.test(fake.requests[0] ?? ""));
  assert(!/content-(length|type)/i.test(fake.requests[0] ?? ""), "no body");
});

Deno.test("FirecrackerApi.send() does not send what Firecracker would not read", async () => {
  await using fake = new FakeFirecracker(() => OK);
  using api = new FirecrackerApi(fake.socket);
  // Two bytes each in UTF-8.
  const body = (bytes: number) => ({ level: "é".repeat((bytes - 12) / 2) });
  await api.send({ ...call, body: body(MAX_BODY_BYTES) });
  const error = await failure(api.send({ ...call, body: body(MAX_BODY_BYTES + 2) }));
  assertEquals([error.failure, error.call], ["too_large", "PUT /logger"]);
  assertEquals(fake.requests.length, 1);
});

Deno.test("FirecrackerApi.send() gives up after its time, and the next call is answered", async () => {
  await using fake = new FakeFirecracker((text) => text.includes("slow") ? undefined : OK);
  using api = new FirecrackerApi(fake.socket);
  const slow = { ...call, body: { level: "slow" } };
  const error = await failure(api.send(slow, { timeoutMs: 20 }));
  assertEquals([error.failure, error.call, error.status], ["timeout", "PUT /logger", undefined]);
  await api.send(call);
});

Deno.test("FirecrackerApi.send() has its time for the whole answer", async () => {
  await using fake = new FakeFirecracker(() => "HTTP/1.1 400 \r\nContent-Length: 50\r\n\r\n{");
  using api = new FirecrackerApi(fake.socket);
  assertEquals((await failure(api.send(call, { timeoutMs: 20 }))).failure, "timeout");
});

Deno.test("FirecrackerApi.send() stops waiting when aborted", async () => {
  await using fake = new FakeFirecracker(() => undefined);
  using api = new FirecrackerApi(fake.socket);
  const control = new AbortController();
  const waiting = api.send(call, { signal: control.signal });
  control.abort(new RangeError("Enough"));
  await assertRejects(() => waiting, RangeError, "Enough");
  await assertRejects(() => api.send(call, { signal: control.signal }), RangeError, "Enough");
});

Deno.test("FirecrackerApi fails with 'closed' when nobody listens or the socket is lost", async () => {
  using nobody = new FirecrackerApi("/nonexistent/api.sock");
  const error = await failure(nobody.info());
  assertEquals([error.failure, error.call], ["closed", "GET /"]);
  await using fake = new FakeFirecracker(() => "hang up");
  using api = new FirecrackerApi(fake.socket);
  assertEquals((await failure(api.send(call))).failure, "closed");
});

Deno.test("FirecrackerApi.close() is idempotent and fails what is under way", async () => {
  await using fake = new FakeFirecracker(() => undefined);
  const api = new FirecrackerApi(fake.socket);
  const waiting = failure(api.send(call));
  while (fake.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  api.close();
  api.close();
  assertEquals((await waiting).failure, "closed");
  assertEquals((await failure(api.info())).failure, "closed");
});
