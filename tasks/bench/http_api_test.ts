import { assert, assertEquals, assertRejects } from "@std/assert";
import { ApiError, HttpApi } from "./http_api.ts";
import { FAKE_KEY, FakePlatform } from "./testing/fake_platform.ts";

const BODY = { template: "base", vcpus: 1, memory_mb: 512 };

Deno.test("HttpApi times the whole answer and reads its steps", async () => {
  await using fake = new FakePlatform({
    takes: { restore: 40 },
    timing: { restore: "sql;dur=2" },
  });
  using api = new HttpApi({ url: fake.url, key: FAKE_KEY, signal: new AbortController().signal });
  const answer = await api.request("POST", "/v1/sandboxes", BODY);
  assertEquals([answer.status, [...answer.timing]], [201, [["sql", 2]]]);
  assert(answer.ms >= 38, `${answer.ms}`);
});

Deno.test("HttpApi throws what the platform refuses", async () => {
  await using fake = new FakePlatform();
  const { signal } = new AbortController();
  using api = new HttpApi({ url: fake.url, key: "wrong", signal });
  const error = await assertRejects(() => api.request("POST", "/v1/sandboxes", BODY), ApiError);
  assertEquals([error.status, error.code], [401, "unauthorized"]);
  assertEquals(error.message, "POST /v1/sandboxes answered 401 unauthorized: Key is wrong");
});

Deno.test("HttpApi gives back what it took also after the end of the run", async () => {
  await using fake = new FakePlatform();
  const abort = new AbortController();
  using api = new HttpApi({ url: fake.url, key: FAKE_KEY, signal: abort.signal });
  const { body } = await api.request("POST", "/v1/sandboxes", BODY);
  const path = `/v1/sandboxes/${(body as { id: string }).id}`;
  abort.abort(new Error("Enough"));
  await assertRejects(() => api.request("POST", `${path}/pause`), Error, "Enough");
  assertEquals((await api.request("DELETE", path, undefined, true)).status, 204);
  assertEquals(fake.boxes.size, 0);
});

Deno.test("HttpApi keeps its connections", async () => {
  let connections = 0;
  const seen = new Set<number>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (_, info) => {
    const { port } = info.remoteAddr as Deno.NetAddr;
    if (!seen.has(port)) connections++;
    seen.add(port);
    return Response.json({});
  });
  {
    const url = `http://127.0.0.1:${server.addr.port}`;
    using api = new HttpApi({ url, key: "k", signal: new AbortController().signal });
    for (let i = 0; i < 5; i++) await api.request("GET", "/");
  }
  await server.shutdown();
  assertEquals(connections, 1);
});
