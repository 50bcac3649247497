import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { newSnapshotId, WrennError } from "@wrenn/common";
import { SandboxStatus as Live } from "@wrenn/proto/agent";
import { startTestServer } from "../../tasks/postgres/testing.ts";
import { ALICE, assertCode, BOB, history, replicaTest, request } from "../testing/platform.ts";

const server = await startTestServer();
Deno.test.afterAll(() => server.stop());

const withReplica = replicaTest(server);

Deno.test("hibernate() answers a receipt, and resume() says where the sandbox came from", () =>
  withReplica(async ({ sandboxes, db }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request());
    for (let i = 0; i < 2; i++) {
      const { sandbox, receipt } = await sandboxes.hibernate(ALICE, id);
      assertEquals([sandbox.status, receipt.generation, receipt.bytes], ["hibernated", 1, 4096]);
      assert(receipt.durableAt);
    }
    await assertCode(() => sandboxes.open(ALICE, id), "sandbox_paused");
    await assertCode(() => sandboxes.fork(ALICE, id, 1), "sandbox_paused");
    assertEquals((await sandboxes.pause(ALICE, id)).sandbox.status, "hibernated");
    agent.snapshots.badMemory = "snapshot_corrupt: memory";
    const { sandbox, restored } = await sandboxes.resume(ALICE, id);
    assertEquals(sandbox.status, "running");
    assertEquals(restored, { from: "disk", generation: 1, reason: "snapshot_corrupt: memory" });
    const states = ["pending", "running", "paused", "hibernated", "running"];
    assertEquals(await history(db, id), states);
  }));

Deno.test("a sandbox that its host hibernated shows it, and is resumed", () =>
  withReplica(async ({ sandboxes, reconciler, db }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request());
    await new Promise((resolve) => setTimeout(resolve, 2));
    agent.set(id, Live.HIBERNATED);
    for (let i = 0; i < 2; i++) await reconciler.runOnce();
    assertEquals((await sandboxes.get(ALICE, id)).status, "hibernated");
    assertEquals((await sandboxes.resume(ALICE, id)).sandbox.status, "running");
    const states = ["pending", "running", "paused", "hibernated", "running"];
    assertEquals(await history(db, id), states);
  }));

Deno.test("fork() makes as many sandboxes as asked for, each with a report", () =>
  withReplica(async ({ sandboxes }) => {
    const source = await sandboxes.create(ALICE, request({ metadata: { a: "b" }, timeoutSec: 60 }));
    const copies = await sandboxes.fork(ALICE, source.id, 100);
    assertEquals(new Set(copies.map(({ sandbox }) => sandbox.id)).size, 100);
    for (const { sandbox, report } of copies) {
      const { id, status, metadata, timeoutSec } = sandbox;
      assertEquals({ status, metadata, timeoutSec }, {
        status: "running",
        metadata: { a: "b" },
        timeoutSec: 60,
      });
      assertEquals([report?.hostname, report?.entropyReseeded], [id, true]);
      assertNotEquals(sandbox.executionId, source.executionId);
    }
    await assertCode(() => sandboxes.fork(BOB, source.id, 1), "sandbox_not_found");
  }));

Deno.test("a fork that fails leaves no copy", () =>
  withReplica(async ({ sandboxes, reconciler }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request());
    agent.failNext("forkSandbox", new WrennError("no_space", "Disk full"));
    await assertCode(() => sandboxes.fork(ALICE, id, 3), "no_space");
    await reconciler.runOnce();
    const { sandboxes: left } = await sandboxes.list(ALICE, { limit: 50 });
    assertEquals(left.map((s) => s.id), [id]);
  }));

Deno.test("rollback() goes back to a generation that generations() named", () =>
  withReplica(async ({ sandboxes, snapshots }) => {
    const { id } = await sandboxes.create(ALICE, request());
    await snapshots.create(ALICE, id, undefined);
    const [generation] = await sandboxes.generations(ALICE, id);
    assertEquals(generation?.generation, 1);
    const { sandbox, restored } = await sandboxes.rollback(ALICE, id, 1);
    assertEquals([sandbox.status, restored.from, restored.generation], ["running", "memory", 1]);
    await assertCode(() => sandboxes.rollback(ALICE, id, 2), "snapshot_not_found");
    await sandboxes.hibernate(ALICE, id);
    assertEquals((await sandboxes.rollback(ALICE, id, 1)).sandbox.status, "running");
  }));

Deno.test("a snapshot outlives its sandbox and starts others, for its team alone", () =>
  withReplica(async ({ sandboxes, snapshots }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request({ vcpus: 2, memoryMb: 1024 }));
    const made = await snapshots.create(ALICE, id, "first");
    assertEquals([made.name, made.generation, made.vcpus], ["first", 1, 2]);
    await sandboxes.destroy(ALICE, id);
    assertEquals(await snapshots.get(ALICE, made.id), made);
    const child = await sandboxes.create(ALICE, request({ snapshot: made.id }));
    assertEquals([child.vcpus, child.memoryMb, child.status], [2, 1024, "running"]);
    for (const call of ["get", "delete"] as const) {
      await assertCode(() => snapshots[call](BOB, made.id), "snapshot_not_found");
    }
    await assertCode(
      () => sandboxes.create(BOB, request({ snapshot: made.id })),
      "snapshot_not_found",
    );
    await snapshots.delete(ALICE, made.id);
    assertEquals(agent.snapshots.snapshots.size, 0);
    await assertCode(() => snapshots.delete(ALICE, made.id), "snapshot_not_found");
    await assertCode(
      () => sandboxes.create(ALICE, request({ snapshot: made.id })),
      "snapshot_not_found",
    );
  }));

Deno.test("list() of snapshots pages newest first and filters", () =>
  withReplica(async ({ sandboxes, snapshots }) => {
    const { id } = await sandboxes.create(ALICE, request());
    const other = await sandboxes.create(ALICE, request());
    const names = ["a", "b", "c"];
    for (const name of names) await snapshots.create(ALICE, id, name);
    await snapshots.create(ALICE, other.id, "a");
    const seen: (string | undefined)[] = [];
    let cursor: string | undefined;
    do {
      const page = await snapshots.list(ALICE, {
        limit: 2,
        sandboxId: id,
        ...(cursor ? { cursor } : {}),
      });
      seen.push(...page.snapshots.map((s) => s.name));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    assertEquals(seen, ["c", "b", "a"]);
    const named = await snapshots.list(ALICE, { limit: 50, name: "a" });
    assertEquals(named.snapshots.map((s) => s.sandboxId), [other.id, id]);
    assertEquals((await snapshots.list(BOB, { limit: 50 })).snapshots, []);
  }));

Deno.test("the reconciler ends what a snapshot call left behind", () =>
  withReplica(async ({ sandboxes, snapshots, reconciler, db }, { agent }) => {
    const { id } = await sandboxes.create(ALICE, request());
    agent.failNext("snapshotSandbox", new WrennError("no_space", "Disk full"));
    await assertCode(() => snapshots.create(ALICE, id, undefined), "no_space");
    assertEquals(await reconciler.runOnce(), 1);
    const made = await snapshots.create(ALICE, id, undefined);
    agent.failNext("deleteSnapshot", new WrennError("unavailable", "Not now"));
    await snapshots.delete(ALICE, made.id);
    await assertCode(() => snapshots.get(ALICE, made.id), "snapshot_not_found");
    assertEquals(agent.snapshots.snapshots.size, 1);
    assertEquals(await reconciler.runOnce(), 1);
    assertEquals([agent.snapshots.snapshots.size, await reconciler.runOnce()], [0, 0]);
    // The control plane died between the host's answer and the row's.
    const late = newSnapshotId();
    await agent.client().snapshotSandbox({ id, snapshotId: late });
    await db.query(
      `INSERT INTO snapshots (id, team_id, sandbox_id, host_id, template, vcpus, memory_mb, disk_mb, created_at)
       SELECT $2, team_id, id, host_id, template, vcpus, memory_mb, disk_mb, created_at - interval '1 hour'
       FROM sandboxes WHERE id = $1`,
      [id, late],
    );
    assertEquals(await reconciler.runOnce(), 1);
    assertEquals((await snapshots.get(ALICE, late)).generation, 2);
  }));
