/** Many callers, two replicas, a host that acts by itself, a database that drops connections: what must still hold. */
import { assert, assertEquals } from "@std/assert";
import { delay, type SandboxId, WrennError } from "@wrenn/common";
import { SandboxStatus as Live } from "@wrenn/proto/agent";
import { startTestServer } from "../../tasks/postgres/testing.ts";
import { canMove } from "../core/sandbox_states.ts";
import type { Database } from "../db/database.ts";
import { ALICE, type Replica, request, TestPlatform } from "../testing/platform.ts";
import type { SandboxStatus } from "./types.ts";

const server = await startTestServer();
Deno.test.afterAll(() => server.stop());

/** Codes with which a caller may lose a race. */
const LOST = ["conflict", "sandbox_not_running", "sandbox_paused"];
/** Codes with which a caller learns that the database was away. */
const AWAY = ["unavailable", "host_unavailable"];

/** Every event must follow the one before it, and the table must allow it. */
async function assertLegalHistory(db: Database, id: SandboxId): Promise<SandboxStatus[]> {
  const events = await db.query<{ from_status: SandboxStatus | null; to_status: SandboxStatus }>(
    "SELECT from_status, to_status FROM sandbox_events WHERE sandbox_id = $1 ORDER BY id",
    [id],
    { idempotent: true },
  );
  let at: SandboxStatus | null = null;
  for (const { from_status, to_status } of events) {
    assertEquals(from_status, at);
    assert(at === null ? to_status === "pending" : canMove(at, to_status), `${at} ${to_status}`);
    at = to_status;
  }
  const rows: { status: SandboxStatus }[] = await db.query(
    "SELECT status FROM sandboxes WHERE id = $1",
    [id],
    { idempotent: true },
  );
  assertEquals(rows[0]?.status, at);
  return events.map((e) => e.to_status);
}

/** Runs rounds until there is nothing left to repair. */
async function converge(replica: Replica): Promise<void> {
  for (let round = 0; round < 20; round++) {
    // A row is compared again only when the list is newer than its last change.
    await delay(2);
    if (await replica.reconciler.runOnce() === 0) return;
  }
  throw new Error("The repairs do not come to an end");
}

function randomly<T>(choices: readonly T[]): T {
  const choice = choices[Math.floor(Math.random() * choices.length)];
  if (choice === undefined) throw new TypeError("Nothing to choose from");
  return choice;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(() => "ok", (error) => WrennError.from(error).code);
}

for (const round of [1, 2, 3]) {
  Deno.test(`50 calls at once on one sandbox leave a legal history (${round})`, async () => {
    await using platform = await TestPlatform.start(server);
    const replicas = [await platform.replica(), await platform.replica()] as const;
    for (const { reconciler } of replicas) reconciler.start();
    const { id } = await replicas[0].sandboxes.create(ALICE, request());
    const calls = ["pause", "resume", "pause", "resume", "ping", "open", "destroy"] as const;
    const codes = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
      const { sandboxes } = replicas[i % 2 ? 1 : 0];
      await delay(Math.random() * 60);
      if (i % 10 === 9) platform.agent.set(id, randomly([Live.PAUSED, Live.RUNNING]));
      const call = i === 45 ? "destroy" : randomly(calls.slice(0, i < 40 ? 6 : 7));
      return await codeOf(sandboxes[call](ALICE, id));
    }));
    for (const code of codes) assert(code === "ok" || LOST.includes(code), code);
    for (const { reconciler } of replicas) await reconciler.stop();
    await converge(replicas[0]);
    const states = await assertLegalHistory(replicas[0].db, id);
    assertEquals(states.at(-1), "stopped");
    assertEquals(states.filter((s) => s === "stopped").length, 1);
    assertEquals(platform.agent.vms.get(id)?.sandbox.status, Live.STOPPED);
  });
}

Deno.test("destroying a sandbox while it is created leaves nothing", async () => {
  await using platform = await TestPlatform.start(server);
  const replica = await platform.replica();
  const other = await platform.replica();
  const creating = Promise.all(
    Array.from({ length: 20 }, () => codeOf(replica.sandboxes.create(ALICE, request()))),
  );
  const destroyed = new Set<SandboxId>();
  let done = false;
  const destroying = (async () => {
    while (!done) {
      const { sandboxes } = await other.sandboxes.list(ALICE, { limit: 100 });
      for (const { id } of sandboxes) {
        await other.sandboxes.destroy(ALICE, id);
        destroyed.add(id);
      }
    }
  })();
  const codes = await creating;
  done = true;
  await destroying;
  for (const code of codes) assert(code === "ok" || code === "conflict", code);
  const { sandboxes } = await other.sandboxes.list(ALICE, { limit: 100 });
  for (const { id } of sandboxes) await other.sandboxes.destroy(ALICE, id);
  await converge(replica);
  for (const [id, vm] of platform.agent.vms) {
    assertEquals(vm.sandbox.status, Live.STOPPED, id);
    await assertLegalHistory(replica.db, id as SandboxId);
  }
});

Deno.test("connections killed under load: no acknowledged sandbox is lost, and the pool comes back", async () => {
  await using platform = await TestPlatform.start(server);
  const replica = await platform.replica();
  const { sandboxes, db } = replica;
  const acknowledged = new Set<SandboxId>();
  const ended = new Set<SandboxId>();
  let done = false;
  const nemesis = (async () => {
    for (let i = 0; i < 15; i++) {
      await delay(40);
      await platform.database.killBackends();
    }
    done = true;
  })();
  const client = async (): Promise<void> => {
    while (!done) {
      try {
        const { id } = await sandboxes.create(ALICE, request());
        acknowledged.add(id);
        if (Math.random() < 0.3) {
          await sandboxes.destroy(ALICE, id);
          ended.add(id);
        } else await sandboxes.get(ALICE, id);
      } catch (error) {
        const { code } = WrennError.from(error);
        assert(AWAY.includes(code), `${code}: ${Deno.inspect(error)}`);
      }
    }
  };
  await Promise.all([nemesis, ...Array.from({ length: 8 }, client)]);
  assert(acknowledged.size > 0);
  // The host may have been let go of while the database was away.
  while (replica.hosts.connected().length === 0) await delay(20);
  for (const id of acknowledged) await assertLegalHistory(db, id);
  for (const id of ended) assertEquals((await sandboxes.get(ALICE, id)).status, "stopped");
  await converge(replica);
  for (const id of acknowledged) {
    const { status } = await sandboxes.get(ALICE, id);
    // A destroy that was answered with an error may have happened, or may be finished later: never half.
    const live = platform.agent.vms.get(id)?.sandbox.status;
    assertEquals(status, live === Live.RUNNING ? "running" : "stopped", id);
  }
  // And the other way round: nothing runs that the database does not know as running.
  for (const [id, vm] of platform.agent.vms) {
    if (vm.sandbox.status !== Live.RUNNING) continue;
    assertEquals((await sandboxes.get(ALICE, id as SandboxId)).status, "running", id);
  }
});
