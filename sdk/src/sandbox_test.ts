import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeServer } from "../testing/fake_server.ts";
import { ConflictError, InvalidRequestError, NotFoundError, Sandbox } from "../mod.ts";

Deno.test("Sandbox.create() sends what was given and nothing else", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create({
    ...server.options,
    template: "base",
    memoryMb: 1024,
    timeoutMs: 1500,
    onTimeout: "pause",
    env: { A: "1" },
    metadata: { purpose: "test" },
    network: { internet: false },
  });
  const wire = server.sandboxes.get(sandbox.id);
  assertEquals(wire?.["timeout_sec"], 2);
  assertEquals(wire?.["network"], { internet: false });
  const info = await sandbox.info();
  assertEquals([info.memoryMb, info.timeoutMs, info.onTimeout], [1024, 2000, "pause"]);
  assertEquals(info.metadata, { purpose: "test" });
  assert(info.createdAt instanceof Date);
  assertEquals("expiresAt" in info || "hostIp" in info || "error" in info, false);
});

Deno.test("Sandbox.create() refuses a lifetime that is no number", async () => {
  await using server = new FakeServer();
  const options = { ...server.options, timeoutMs: NaN };
  await assertRejects(() => Sandbox.create(options), InvalidRequestError, "timeoutMs");
});

Deno.test("`await using` destroys the sandbox", async () => {
  await using server = new FakeServer();
  {
    await using sandbox = await Sandbox.create(server.options);
    assert(server.sandboxes.has(sandbox.id));
  }
  assertEquals(server.sandboxes.size, 0);
});

Deno.test("destroy() of a sandbox that is gone is no error", async () => {
  await using server = new FakeServer();
  const sandbox = await Sandbox.create(server.options);
  await sandbox.destroy();
  await sandbox.destroy();
});

Deno.test("Sandbox.connect() finds a sandbox or throws", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const same = await Sandbox.connect(sandbox.id, server.options);
  assertEquals((await same.commands.run("echo hi")).stdout, "hi\n");
  await assertRejects(() => Sandbox.connect("sb-ffffffff", server.options), NotFoundError);
});

Deno.test("pause(), resume() and ping() answer with the sandbox", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  assertEquals((await sandbox.pause()).status, "paused");
  const error = await assertRejects(() => sandbox.commands.run("echo hi"), ConflictError);
  assertEquals(error.code, "sandbox_paused");
  assertEquals((await sandbox.resume()).status, "running");
  assertEquals((await sandbox.ping()).id, sandbox.id);
});

Deno.test("Sandbox.list() walks over all pages and asks for no more than it needs", async () => {
  await using server = new FakeServer();
  for (let i = 0; i < 5; i++) await Sandbox.create(server.options);
  const ids: string[] = [];
  for await (const { id } of Sandbox.list(server.options)) ids.push(id);
  assertEquals(ids.length, 5);
  assertEquals(new Set(ids).size, 5);
  const before = server.seen.length;
  for await (const _ of Sandbox.list({ ...server.options, pageSize: 1 })) break;
  assertEquals(server.seen.length, before + 1);
  const none = Sandbox.list({
    ...server.options,
    template: "other",
    status: ["running", "paused"],
    metadata: { a: "1", b: "2" },
  });
  assertEquals((await none.next()).done, true);
});
