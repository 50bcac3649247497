import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeServer } from "../testing/fake_server.ts";
import { ConflictError, InvalidRequestError, NotFoundError, Sandbox, Snapshot } from "../mod.ts";

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

Deno.test("hibernate() and resume() say what is safe and where it came from", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create({ ...server.options, onTimeout: "hibernate" });
  assertEquals((await sandbox.info()).onTimeout, "hibernate");
  assertEquals((await sandbox.pause()).receipt, { generation: 0, bytes: 0 });
  const { status, receipt } = await sandbox.hibernate();
  assertEquals([status, receipt.generation, receipt.bytes], ["hibernated", 1, 4096]);
  assert(receipt.durableAt instanceof Date && receipt.digest?.length === 64);
  const woken = await sandbox.resume();
  assertEquals([woken.status, woken.restored], ["running", { from: "memory", generation: 1 }]);
});

Deno.test("fork() answers sandboxes that can be used, each with its report", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const forks = await sandbox.fork(3);
  assertEquals(new Set(forks.map((f) => f.sandbox.id)).size, 3);
  for (const { sandbox, report } of forks) {
    assertEquals((await sandbox.commands.run("echo hi")).stdout, "hi\n");
    assertEquals(report?.hostname, sandbox.id);
    assertEquals(report?.hooks, [{ name: "10-db", exitCode: 0, timedOut: false }]);
  }
});

Deno.test("snapshot() keeps a moment to start from and to roll back to", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const snapshot = await sandbox.snapshot("first");
  assertEquals([snapshot.info.name, snapshot.info.generation], ["first", 1]);
  await sandbox.snapshot();
  const [newest, first] = await sandbox.generations();
  assertEquals([newest?.generation, first?.snapshotId], [2, snapshot.id]);
  assertEquals((await sandbox.rollback(1)).restored, { from: "memory", generation: 1 });
  await using other = await Sandbox.create({ ...server.options, snapshot: snapshot.id });
  assertEquals((await other.info()).status, "running");
  const ids: string[] = [];
  for await (const { id } of Snapshot.list({ ...server.options, pageSize: 1 })) ids.push(id);
  assertEquals(ids.length, 2);
  assertEquals((await Snapshot.get(snapshot.id, server.options)).info, snapshot.info);
  for (let i = 0; i < 2; i++) await snapshot.delete();
  await assertRejects(() => Snapshot.get(snapshot.id, server.options), NotFoundError);
  await assertRejects(() => Snapshot.get("../keys", server.options), InvalidRequestError);
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
