import { assert, assertEquals, assertRejects } from "@std/assert";
import { hasCode, type SandboxId, WrennError } from "@wrenn/common";
import { SandboxStatus as Live } from "@wrenn/proto/agent";
import { startTestServer } from "../../tasks/postgres/testing.ts";
import {
  ALICE,
  assertCode,
  BOB,
  history,
  replicaTest,
  request,
  TestPlatform,
} from "../testing/platform.ts";

const server = await startTestServer();
Deno.test.afterAll(() => server.stop());

const withReplica = replicaTest(server);

Deno.test("create() answers a running sandbox and keeps its history", () =>
  withReplica(async ({ sandboxes, db }, { agent }) => {
    const created = await sandboxes.create(ALICE, request({ metadata: { a: "1" } }));
    assertEquals(created.status, "running");
    assertEquals(created.diskMb, 1024);
    assertEquals(created.metadata, { a: "1" });
    assert(created.hostIp?.startsWith("10.11.") && created.startedAt);
    assertEquals(created.expiresAt?.getTime(), created.lastActiveAt.getTime() + 300_000);
    assertEquals(await sandboxes.get(ALICE, created.id), created);
    assertEquals(agent.vms.get(created.id)?.sandbox.executionId, created.executionId);
    assertEquals(await history(db, created.id), ["pending", "running"]);
  }));

Deno.test("create() does not store the environment", () =>
  withReplica(async ({ sandboxes, db }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request({ env: { TOKEN: "hunter2" } }));
    assertEquals(agent.vms.get(id)?.sandbox.spec?.env, { TOKEN: "hunter2" });
    const [row] = await db.query<{ text: string }>("SELECT s::text AS text FROM sandboxes s");
    assert(row && !row.text.includes("hunter2"));
  }));

Deno.test("create() names the templates there are", () =>
  withReplica(async ({ sandboxes, db }) => {
    const error = await assertRejects(() => sandboxes.create(ALICE, request({ template: "no" })));
    assert(hasCode(error, "template_not_found"));
    assert(error.message.includes("'base', 'minimal'"), error.message);
    assertEquals(await db.query("SELECT id FROM sandboxes"), []);
  }));

Deno.test("create() finds a template that was built since the host was asked", () =>
  withReplica(async ({ sandboxes }, { templates }) => {
    templates.push("python");
    const created = await sandboxes.create(ALICE, request({ template: "python" }));
    assertEquals([created.template, created.status], ["python", "running"]);
  }));

Deno.test("create() that the host refuses leaves an error row and nothing on the host", () =>
  withReplica(async ({ sandboxes, db }, { agent }) => {
    for (const code of ["capacity_exhausted", "guest_unavailable", "no_space"] as const) {
      agent.failNext("CreateSandbox", new WrennError(code, `Because ${code}`));
      await assertCode(() => sandboxes.create(ALICE, request()), code);
    }
    const { sandboxes: failed } = await sandboxes.list(ALICE, { limit: 10, status: ["error"] });
    assertEquals(failed.map((s) => s.error?.code).sort(), [
      "capacity_exhausted",
      "guest_unavailable",
      "no_space",
    ]);
    assertEquals([...agent.vms.keys()], []);
    assertEquals((await sandboxes.list(ALICE, { limit: 10 })).sandboxes, []);
    assertEquals(await history(db, failed[0]?.id ?? "sb-"), ["pending", "error"]);
  }));

Deno.test("create() whose answer is lost is undone on the host", () =>
  withReplica(async ({ sandboxes }, platform) => {
    platform.loseNextCreate = true;
    await assertCode(() => sandboxes.create(ALICE, request()), "host_unavailable");
    const [vm] = [...platform.agent.vms.values()];
    assertEquals(vm?.sandbox.status, Live.STOPPED);
  }));

Deno.test("create() gives way to a destroy that came while it was under way", () =>
  withReplica(async ({ sandboxes, db }, platform) => {
    for (const hostAnswers of [true, false]) {
      let id: SandboxId = "sb-";
      platform.onCreated = async (created) => {
        id = created;
        if (hostAnswers) return await sandboxes.destroy(ALICE, id);
        platform.agent.failNext("DestroySandbox", new WrennError("host_unavailable", "Gone"));
        await assertCode(() => sandboxes.destroy(ALICE, id), "host_unavailable");
      };
      await assertCode(() => sandboxes.create(ALICE, request()), "conflict");
      assertEquals(platform.agent.vms.get(id)?.sandbox.status, Live.STOPPED);
      assertEquals((await history(db, id)).at(-1), hostAnswers ? "stopped" : "error");
    }
  }));

Deno.test("create() with no host that answers is host_unavailable", async () => {
  await using platform = await TestPlatform.start(server);
  const replica = await platform.replica();
  await replica.hosts.close();
  await assertCode(() => replica.sandboxes.create(ALICE, request()), "host_unavailable");
});

Deno.test("create() twice with one idempotency key makes one sandbox", () =>
  withReplica(async ({ sandboxes }, platform) => {
    const other = await platform.replica();
    const options = { idempotencyKey: "k1" };
    const created = await Promise.all(
      [sandboxes, other.sandboxes, sandboxes, other.sandboxes].map((s) =>
        s.create(ALICE, request(), options)
      ),
    );
    assertEquals(new Set(created.map((s) => s.id)).size, 1);
    assertEquals(platform.agent.vms.size, 1);
    const different = request({ vcpus: 2 });
    await assertCode(() => sandboxes.create(ALICE, different, options), "conflict");
    const bobs = await sandboxes.create(BOB, request(), options);
    assert(bobs.id !== created[0]?.id);
  }));

Deno.test("create() with an idempotency key may be tried again after a failure", () =>
  withReplica(async ({ sandboxes }, { agent }) => {
    const options = { idempotencyKey: "k1" };
    agent.failNext("CreateSandbox", new WrennError("capacity_exhausted", "Full"));
    const attempt = () => sandboxes.create(ALICE, request(), options);
    await assertCode(attempt, "capacity_exhausted");
    assertEquals((await attempt()).status, "running");
  }));

Deno.test("list() pages through all sandboxes, newest first, each once", () =>
  withReplica(async ({ sandboxes, db }) => {
    for (let i = 0; i < 7; i++) await sandboxes.create(ALICE, request());
    await sandboxes.create(BOB, request());
    // Several in the same microsecond: the id breaks the tie.
    await db.query("UPDATE sandboxes SET created_at = '2026-01-01' WHERE team_id = $1", [
      ALICE.teamId,
    ]);
    const ids: SandboxId[] = [];
    let cursor: string | undefined;
    do {
      const page = await sandboxes.list(ALICE, { limit: 3, ...(cursor ? { cursor } : {}) });
      assert(page.sandboxes.length <= 3);
      ids.push(...page.sandboxes.map((s) => s.id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    assertEquals(ids, [...ids].sort().reverse());
    assertEquals(new Set(ids).size, 7);
    await assertCode(() => sandboxes.list(ALICE, { limit: 3, cursor: "x" }), "invalid_request");
  }));

Deno.test("list() filters by state, template and metadata", () =>
  withReplica(async ({ sandboxes }) => {
    const a = await sandboxes.create(ALICE, request({ metadata: { user: "1", env: "dev" } }));
    const b = await sandboxes.create(ALICE, request({ template: "minimal" }));
    const c = await sandboxes.create(ALICE, request({ metadata: { user: "1" } }));
    await sandboxes.destroy(ALICE, c.id);
    await sandboxes.pause(ALICE, b.id);
    const list = async (query: object) =>
      (await sandboxes.list(ALICE, { limit: 10, ...query })).sandboxes.map((s) => s.id);
    assertEquals(await list({}), [b.id, a.id]);
    assertEquals(await list({ metadata: { user: "1" } }), [a.id]);
    assertEquals(await list({ metadata: { user: "1", env: "prod" } }), []);
    assertEquals(await list({ template: "minimal" }), [b.id]);
    assertEquals(await list({ status: ["stopped"] }), [c.id]);
    assertEquals(await list({ status: ["paused", "stopped"] }), [c.id, b.id]);
  }));

Deno.test("another team's sandbox does not exist, whatever is asked of it", () =>
  withReplica(async ({ sandboxes }) => {
    const { id } = await sandboxes.create(ALICE, request());
    const calls = ["get", "destroy", "pause", "resume", "ping", "open"] as const;
    for (const call of calls) {
      await assertCode(() => sandboxes[call](BOB, id), "sandbox_not_found");
      await assertCode(() => sandboxes[call](ALICE, "sb-ffffffff"), "sandbox_not_found");
    }
    assertEquals((await sandboxes.list(BOB, { limit: 10 })).sandboxes, []);
    assertEquals((await sandboxes.get(ALICE, id)).status, "running");
  }));

Deno.test("destroy() ends the sandbox once and answers the same again", () =>
  withReplica(async ({ sandboxes, db }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request());
    await sandboxes.destroy(ALICE, id);
    await sandboxes.destroy(ALICE, id);
    assertEquals(agent.vms.get(id)?.sandbox.status, Live.STOPPED);
    const stopped = await sandboxes.get(ALICE, id);
    assertEquals([stopped.status, stopped.expiresAt], ["stopped", undefined]);
    assertEquals(await history(db, id), ["pending", "running", "stopped"]);
    for (const call of ["pause", "resume", "ping", "open"] as const) {
      await assertCode(() => sandboxes[call](ALICE, id), "sandbox_not_running");
    }
  }));

Deno.test("destroy() of a sandbox whose host does not answer is finished by the reconciler", () =>
  withReplica(async ({ sandboxes, reconciler, db }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request());
    agent.failNext("DestroySandbox", new WrennError("host_unavailable", "Gone"));
    await assertCode(() => sandboxes.destroy(ALICE, id), "host_unavailable");
    await assertCode(() => sandboxes.open(ALICE, id), "sandbox_not_running");
    assertEquals(await reconciler.runOnce(), 1);
    assertEquals(agent.vms.get(id)?.sandbox.status, Live.STOPPED);
    assertEquals((await sandboxes.get(ALICE, id)).status, "stopped");
    assertEquals(await history(db, id), ["pending", "running", "stopped"]);
    assertEquals(await reconciler.runOnce(), 0);
  }));

Deno.test("pause() and resume() are idempotent, and a paused sandbox has no deadline", () =>
  withReplica(async ({ sandboxes, db }) => {
    const { id } = await sandboxes.create(ALICE, request());
    for (let i = 0; i < 2; i++) {
      const { sandbox, receipt } = await sandboxes.pause(ALICE, id);
      assertEquals([sandbox.status, sandbox.expiresAt], ["paused", undefined]);
      assertEquals(receipt.generation, 0);
    }
    for (const call of ["ping", "open"] as const) {
      await assertCode(() => sandboxes[call](ALICE, id), "sandbox_paused");
    }
    for (let i = 0; i < 2; i++) {
      const { sandbox, restored } = await sandboxes.resume(ALICE, id);
      assertEquals([sandbox.status, restored.from], ["running", i === 0 ? "paused" : "running"]);
    }
    assertEquals(await history(db, id), ["pending", "running", "paused", "running"]);
  }));

Deno.test("a sandbox that its host no longer has is found out when it is used", () =>
  withReplica(async ({ sandboxes }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request());
    await sandboxes.pause(ALICE, id);
    agent.vms.delete(id);
    await assertCode(() => sandboxes.resume(ALICE, id), "sandbox_not_running");
    const lost = await sandboxes.get(ALICE, id);
    assertEquals([lost.status, lost.error?.code], ["error", "host_unavailable"]);
    await sandboxes.destroy(ALICE, id);
    assertEquals((await sandboxes.get(ALICE, id)).status, "stopped");
  }));

Deno.test("ping() and open() count as activity", () =>
  withReplica(async ({ sandboxes, db }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request());
    const back = "UPDATE sandboxes SET last_active_at = last_active_at - interval '1 hour'";
    await db.query(back);
    const pinged = await sandboxes.ping(ALICE, id);
    assert(pinged.lastActiveAt.getTime() > Date.now() - 60_000);
    await db.query(back);
    const { agent: client } = await sandboxes.open(ALICE, id);
    assertEquals((await client.getSandbox({ id })).sandbox?.id, id);
    const opened = await sandboxes.get(ALICE, id);
    assert(opened.lastActiveAt.getTime() > Date.now() - 60_000);
    assertEquals(agent.calls.filter((c) => c === "PingSandbox").length, 1);
  }));
