import { assert, assertEquals } from "@std/assert";
import { SandboxStatus } from "@wrenn/proto/agent";
import { WrennError } from "@wrenn/common";
import { OTHER_KEY } from "../testing/fake_services.ts";
import { TestApp } from "../testing/test_app.ts";
import { pageSchema, sandboxSchema } from "./sandbox_shape.ts";
import {
  forkedSchema,
  generationsSchema,
  restedSchema,
  snapshotPageSchema,
  snapshotSchema,
  wokenSchema,
} from "./snapshot_shape.ts";

async function codeOf(response: Response): Promise<[number, string]> {
  return [response.status, (await response.json()).error.code];
}

Deno.test("create answers 201 with the sandbox and gives the agent what was asked", async () => {
  await using t = new TestApp();
  const response = await t.request("POST", "/v1/sandboxes", {
    template: "minimal",
    vcpus: 2,
    memory_mb: 1024,
    timeout_sec: 60,
    on_timeout: "pause",
    env: { A: "1" },
    metadata: { purpose: "test" },
    network: { internet: false, allow_out: ["203.0.113.9/24"] },
  });
  assertEquals(response.status, 201);
  const sandbox = sandboxSchema.parse(await response.json());
  assertEquals(sandbox.status, "running");
  assertEquals(sandbox.metadata, { purpose: "test" });
  assert(sandbox.expires_at !== null);
  assertEquals("error" in sandbox, false);
  const spec = t.agent.vms.get(sandbox.id)?.sandbox.spec;
  assertEquals([spec?.vcpus, spec?.memoryMb, spec?.env], [2, 1024, { A: "1" }]);
  assertEquals(spec?.network?.internet, false);
  assertEquals(spec?.network?.allowOut, ["203.0.113.0/24"]);
});

Deno.test("create fills in the defaults", async () => {
  await using t = new TestApp();
  const sandbox = await (await t.request("POST", "/v1/sandboxes", {})).json();
  const { template, vcpus, memory_mb, timeout_sec, on_timeout, expires_at } = sandbox;
  assertEquals([template, vcpus, memory_mb, timeout_sec, on_timeout, expires_at], [
    "base",
    1,
    512,
    0,
    "destroy",
    null,
  ]);
});

Deno.test("list filters and goes on with its cursor", async () => {
  await using t = new TestApp();
  const ids = [await t.create({ metadata: { n: "1" } }), await t.create(), await t.create()];
  await t.request("POST", `/v1/sandboxes/${ids[1]}/pause`);
  const list = async (query: string): Promise<string[]> => {
    const page = pageSchema.parse(await (await t.request("GET", `/v1/sandboxes?${query}`)).json());
    return page.sandboxes.map((s) => s.id);
  };
  assertEquals((await list("")).toSorted(), ids.toSorted());
  assertEquals(await list("status=paused"), [ids[1]]);
  assertEquals((await list("status=paused,running")).length, 3);
  assertEquals((await list("status=paused&status=running")).length, 3);
  assertEquals(await list("metadata=n%3D1"), [ids[0]]);
  assertEquals(await list("metadata.n=1&template=base"), [ids[0]]);
  assertEquals(await list("template=minimal"), []);

  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const page = await (await t.request("GET", `/v1/sandboxes?limit=2${query}`)).json();
    seen.push(...page.sandboxes.map((s: { id: string }) => s.id));
    cursor = page.next_cursor;
  }
  assertEquals(seen.toSorted(), ids.toSorted());
});

Deno.test("pause, resume, ping and destroy follow the state", async () => {
  await using t = new TestApp();
  const id = await t.create();
  const post = (name: string): Promise<Response> =>
    t.request("POST", `/v1/sandboxes/${id}/${name}`);
  for (const [name, status] of [["pause", "paused"], ["pause", "paused"], ["resume", "running"]]) {
    const response = await post(name ?? "");
    assertEquals([response.status, (await response.json()).status], [200, status]);
  }
  assertEquals((await post("ping")).status, 200);
  await post("pause");
  assertEquals(await codeOf(await post("ping")), [409, "sandbox_paused"]);
  for (let i = 0; i < 2; i++) {
    const gone = await t.request("DELETE", `/v1/sandboxes/${id}`);
    assertEquals([gone.status, await gone.text()], [204, ""]);
  }
  const stopped = await (await t.request("GET", `/v1/sandboxes/${id}`)).json();
  assertEquals([stopped.status, stopped.host_id, stopped.host_ip], ["stopped", null, null]);
});

Deno.test("a sandbox that failed says why", async () => {
  await using t = new TestApp();
  const id = await t.create();
  t.agent.set(id, SandboxStatus.ERROR, { code: "guest_unavailable", message: "Guest ended" });
  const sandbox = sandboxSchema.parse(await (await t.request("GET", `/v1/sandboxes/${id}`)).json());
  assertEquals(sandbox.error, { code: "guest_unavailable", message: "Guest ended" });
});

Deno.test("another team's sandbox does not exist", async () => {
  await using t = new TestApp();
  const id = await t.create();
  const other = { "x-api-key": OTHER_KEY };
  for (
    const { method, path } of t.app.routes.filter((r) => r.path.startsWith("/v1/sandboxes/:id"))
  ) {
    const form = new FormData();
    form.append("path", "/tmp/a");
    form.append("file", new Blob(["x"]));
    const url = path.replace(":id", id) +
      (/stream\/write|read$/.test(path) && method === "GET" || path.endsWith("stream/write")
        ? "?path=/tmp/a"
        : "");
    const body = method !== "POST"
      ? undefined
      : path.endsWith("files/write")
      ? form
      : path.endsWith("stream/write")
      ? "x"
      : path.endsWith("/exec")
      ? { cmd: "true" }
      : path.endsWith("/move")
      ? { path: "/a", destination: "/b" }
      : path.endsWith("/fork")
      ? { count: 1 }
      : path.endsWith("/rollback")
      ? { generation: 1 }
      : path.endsWith("/snapshots")
      ? { name: "a" }
      : { path: "/tmp" };
    const handshake: Record<string, string> = path.endsWith("stream") || path.endsWith("watch")
      ? {
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "MDEyMzQ1Njc4OWFiY2RlZg==",
      }
      : {};
    const response = await t.request(method, url, body, { ...other, ...handshake });
    assertEquals(await codeOf(response), [404, "sandbox_not_found"], `${method} ${path}`);
  }
  assertEquals(
    (await (await t.request("GET", "/v1/sandboxes", undefined, other)).json()).sandboxes,
    [],
  );
});

Deno.test("rest, wake, copies and snapshots answer in the shapes of the document", async () => {
  await using t = new TestApp();
  const id = await t.create({ on_timeout: "hibernate", timeout_sec: 60 });
  const post = async (path: string, body?: unknown): Promise<unknown> => {
    const response = await t.request("POST", path, body);
    assert(response.ok, `${path} ${response.status}`);
    return await response.json();
  };
  const paused = restedSchema.parse(await post(`/v1/sandboxes/${id}/pause`));
  assertEquals(paused.receipt, { generation: 0, digest: null, bytes: 0, durable_at: null });
  const named = await post(`/v1/sandboxes/${id}/snapshots`, { name: "first" });
  const snapshot = snapshotSchema.parse(named);
  assertEquals([snapshot.name, snapshot.generation, snapshot.sandbox_id], ["first", 1, id]);
  const woken = wokenSchema.parse(await post(`/v1/sandboxes/${id}/resume`));
  assertEquals(woken.restored, { from: "paused", generation: 1, reason: null });
  const asleep = restedSchema.parse(await post(`/v1/sandboxes/${id}/hibernate`));
  assertEquals([asleep.status, asleep.receipt.generation], ["hibernated", 2]);
  const back = wokenSchema.parse(await post(`/v1/sandboxes/${id}/rollback`, { generation: 1 }));
  assertEquals([back.status, back.restored.generation], ["running", 1]);
  const list = await (await t.request("GET", `/v1/sandboxes/${id}/generations`)).json();
  const { generations } = generationsSchema.parse(list);
  assertEquals(generations.map((g) => g.snapshot), [null, snapshot.id]);
  const { sandboxes } = forkedSchema.parse(await post(`/v1/sandboxes/${id}/fork`, { count: 2 }));
  assertEquals(sandboxes.map((s) => s.report?.hostname), sandboxes.map((s) => s.id));
  const child = sandboxSchema.parse(await post("/v1/sandboxes", { snapshot: snapshot.id }));
  assertEquals(child.status, "running");
  const page = await (await t.request("GET", "/v1/snapshots?name=first")).json();
  assertEquals(snapshotPageSchema.parse(page).snapshots, [snapshot]);
  const gone = await t.request("DELETE", `/v1/snapshots/${snapshot.id}`);
  assertEquals(gone.status, 204);
  const missing = await t.request("GET", `/v1/snapshots/${snapshot.id}`);
  assertEquals(await codeOf(missing), [404, "snapshot_not_found"]);
});

Deno.test("create says in Server-Timing where the time went", async () => {
  await using t = new TestApp();
  const response = await t.request("POST", "/v1/sandboxes", {});
  assert(response.headers.has("server-timing"));
  await response.body?.cancel();
});

Deno.test("a fault of ours is `internal` without its cause, one of the host is 503", async () => {
  await using t = new TestApp();
  const id = await t.create();
  t.agent.failNext("GetSandbox", new WrennError("internal", "Disk /var/secret broke"));
  const response = await t.request("GET", `/v1/sandboxes/${id}`);
  assertEquals(response.status, 500);
  t.agent.down = true;
  const down = await t.request("GET", `/v1/sandboxes/${id}`);
  assertEquals(down.headers.get("retry-after"), "1");
  assertEquals(await codeOf(down), [503, "host_unavailable"]);
  await response.body?.cancel();
});

Deno.test("every answer carries a request id, the caller's when it is harmless", async () => {
  await using t = new TestApp();
  const id = (value: string): Promise<string | null> =>
    t.request("GET", "/health", undefined, { "x-request-id": value })
      .then((r) => r.headers.get("x-request-id"));
  assertEquals(await id("abc-1.2"), "abc-1.2");
  assert((await id("a b;drop")) !== "a b;drop");
});
