import { assert, assertEquals } from "@std/assert";
import { delay, logger, type SandboxId, systemClock, WrennError } from "@wrenn/common";
import { SandboxStatus as Live } from "@wrenn/proto/agent";
import { startTestServer } from "../../tasks/postgres/testing.ts";
import { Reconciler } from "./reconciler.ts";
import {
  ALICE,
  history,
  type Replica,
  replicaTest,
  request,
  TestPlatform,
} from "../testing/platform.ts";

const server = await startTestServer();
Deno.test.afterAll(() => server.stop());

const withReplica = replicaTest(server);

/** Makes every row older than all graces. */
async function age({ db }: Replica): Promise<void> {
  await db.query(
    `UPDATE sandboxes SET created_at = created_at - interval '1 hour',
     changed_at = changed_at - interval '1 hour'`,
  );
}

/** Waits until the sandbox has this status. */
async function until(replica: Replica, id: SandboxId, status: string): Promise<void> {
  while ((await replica.sandboxes.get(ALICE, id)).status !== status) await delay(10);
}

Deno.test("runOnce() does nothing while everything agrees", () =>
  withReplica(async (replica) => {
    const { id } = await replica.sandboxes.create(ALICE, request());
    await age(replica);
    assertEquals(await replica.reconciler.runOnce(), 0);
    assertEquals((await replica.sandboxes.get(ALICE, id)).status, "running");
  }));

Deno.test("a timeout on the host becomes the row's state, with its reason", () =>
  withReplica(async (replica, { agent }) => {
    const { id } = await replica.sandboxes.create(ALICE, request());
    await delay(2);
    agent.set(id, Live.STOPPED, { code: "timeout", message: "Idle for 300 s" });
    await replica.reconciler.runOnce();
    const sandbox = await replica.sandboxes.get(ALICE, id);
    assertEquals([sandbox.status, sandbox.error], ["stopped", {
      code: "timeout",
      message: "Idle for 300 s",
    }]);
  }));

Deno.test("a change on the host wakes the loop", () =>
  withReplica(async (replica, { agent }) => {
    replica.hosts.onChange(() => replica.reconciler.signal());
    replica.reconciler.start();
    const { id } = await replica.sandboxes.create(ALICE, request());
    await delay(2);
    agent.set(id, Live.ERROR, { code: "guest_unavailable", message: "VM ended" });
    await until(replica, id, "error");
    assertEquals(await history(replica.db, id), ["pending", "running", "error"]);
  }));

Deno.test("a control plane that was killed in a create leaves nothing that differs", () =>
  withReplica(async (replica, { agent }) => {
    // Killed before the host was asked: a row that nobody works on.
    const insert = `INSERT INTO sandboxes (id, team_id, template, vcpus, memory_mb, disk_mb,
      timeout_sec, on_timeout, network, host_id, execution_id)
      VALUES ($1, $2, 'base', 1, 256, 0, 0, 'destroy', '{}', 'host-00000001', $3)`;
    await replica.db.query(insert, ["sb-00000001", ALICE.teamId, "0000000000000001"]);
    // Killed before the answer was written: the host has it.
    await replica.db.query(insert, ["sb-00000002", ALICE.teamId, "0000000000000002"]);
    await agent.client().createSandbox({
      id: "sb-00000002",
      executionId: "0000000000000002",
      spec: { template: "base", vcpus: 1, memoryMb: 256 },
    });
    await delay(2);
    await replica.reconciler.runOnce();
    const status = async (id: SandboxId) => (await replica.sandboxes.get(ALICE, id)).status;
    assertEquals(await status("sb-00000001"), "pending");
    assertEquals(await status("sb-00000002"), "running");
    await age(replica);
    await replica.reconciler.runOnce();
    assertEquals(await status("sb-00000001"), "error");
    assertEquals(await status("sb-00000002"), "running");
  }));

Deno.test("a host that does not answer changes nothing", () =>
  withReplica(async (replica, { agent }) => {
    const { id } = await replica.sandboxes.create(ALICE, request());
    await age(replica);
    agent.down = true;
    assertEquals(await replica.reconciler.runOnce(), 0);
    assertEquals((await replica.sandboxes.get(ALICE, id)).status, "running");
  }));

Deno.test("a running sandbox that the host lost is an error, a paused one is left alone", () =>
  withReplica(async (replica, platform) => {
    const { agent } = platform;
    const running = await replica.sandboxes.create(ALICE, request());
    const paused = await replica.sandboxes.create(ALICE, request());
    await replica.sandboxes.pause(ALICE, paused.id);
    await age(replica);
    agent.vms.clear();
    assertEquals(await replica.reconciler.runOnce(), 0, "the host has just come");
    platform.ahead = 5000;
    assertEquals(await replica.reconciler.runOnce(), 1);
    assertEquals((await replica.sandboxes.get(ALICE, running.id)).error?.code, "host_unavailable");
    assertEquals((await replica.sandboxes.get(ALICE, paused.id)).status, "paused");
  }));

Deno.test("a sandbox that is missing in the list is asked for by its id before it counts as lost", () =>
  withReplica(async (replica, platform) => {
    const { id } = await replica.sandboxes.create(ALICE, request());
    await age(replica);
    platform.ahead = 5000;
    platform.unlisted.add(id);
    assertEquals(await replica.reconciler.runOnce(), 1);
    assertEquals((await replica.sandboxes.get(ALICE, id)).status, "running");
  }));

Deno.test("the loop looks again when a host that came back has settled", () =>
  withReplica(async (replica, { agent }) => {
    const { id } = await replica.sandboxes.create(ALICE, request());
    await age(replica);
    agent.vms.clear();
    const { db, hosts } = replica;
    const options = { db, hosts, clock: systemClock, log: logger("test") };
    const reconciler = new Reconciler({ ...options, intervalMs: 3_600_000 });
    reconciler.start();
    try {
      const error = async () => (await replica.sandboxes.get(ALICE, id)).error?.code;
      for (let i = 0; i < 600 && await error() === undefined; i++) await delay(50);
      assertEquals(await error(), "host_unavailable");
    } finally {
      await reconciler.stop();
    }
  }));

Deno.test("what the database does not know, or knows as ended, is destroyed on the host", () =>
  withReplica(async (replica, { agent }) => {
    const { id } = await replica.sandboxes.create(ALICE, request());
    await replica.sandboxes.destroy(ALICE, id);
    agent.set(id, Live.RUNNING); // the destroy never happened
    await agent.client().createSandbox({
      id: "sb-0000000e",
      executionId: "000000000000000e",
      spec: { template: "base", vcpus: 1, memoryMb: 256 },
    });
    const stray = agent.vms.get("sb-0000000e")?.sandbox;
    assert(stray?.createdAt);
    await delay(2);
    assertEquals(await replica.reconciler.runOnce(), 1, "the stray one is young");
    stray.createdAt.seconds -= 3600n;
    await replica.reconciler.runOnce();
    const left = [...agent.vms.values()].map((vm) => vm.sandbox.status);
    assertEquals(left, [Live.STOPPED, Live.STOPPED]);
    assertEquals(await replica.reconciler.runOnce(), 0);
  }));

Deno.test("a repair that fails is left to the next round", () =>
  withReplica(async (replica, { agent }) => {
    const [a, b] = [
      await replica.sandboxes.create(ALICE, request()),
      await replica.sandboxes.create(ALICE, request()),
    ];
    await replica.db.query("UPDATE sandboxes SET stop_requested_at = now()");
    await delay(2);
    agent.failNext("DestroySandbox", new WrennError("guest_unavailable", "No"));
    assertEquals(await replica.reconciler.runOnce(), 2);
    assertEquals(await replica.reconciler.runOnce(), 1);
    assertEquals(await replica.reconciler.runOnce(), 0);
    for (const { id } of [a, b]) {
      assertEquals((await replica.sandboxes.get(ALICE, id)).status, "stopped");
    }
  }));

Deno.test("two replicas do not run a round at the same time", async () => {
  await using platform = await TestPlatform.start(server);
  const [one, two] = [await platform.replica(), await platform.replica()];
  const inside = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const held = one.db.tryLock("wrenn reconciler", async () => {
    inside.resolve();
    await end.promise;
  });
  await inside.promise;
  assertEquals(await two.reconciler.runOnce(), undefined);
  end.resolve();
  await held;
  assertEquals(await two.reconciler.runOnce(), 0);
});
