import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ErrorCode, newSnapshotId, type SandboxId, WrennError } from "@wrenn/common";
import { FakeHost } from "../testing/fake_host.ts";
import type { SandboxOrder } from "./types.ts";

const ID: SandboxId = "sb-00000001";

function order(id: SandboxId = ID, timeoutSec: number = 0): SandboxOrder {
  return {
    id,
    executionId: "e1",
    spec: {
      template: "base",
      vcpus: 1,
      memoryMb: 256,
      diskMb: 0,
      timeoutSec,
      onTimeout: "hibernate",
      env: { A: "1" },
      network: { internet: true, allowOut: [], denyOut: [] },
    },
  };
}

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await assertRejects(() => promise, WrennError)).code;
}

Deno.test("hibernate() keeps memory on disk and nothing else; resume() brings it back", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order());
  host.vm(ID).poke(7, "seven");
  host.vm(ID).poke(9, "nine");
  const token = host.vm(ID).envd.token;
  await box.hibernate();
  await box.hibernate();
  assertEquals(box.info.state, "hibernated");
  assertEquals([box.info.generation, box.info.hostIp], [1, ""]);
  const [first] = box.generations;
  assert(first?.digest.startsWith("sha256:") && first.bytes > 0 && first.durableAt > 0);
  assertEquals(host.left(), [`snapshot ${first?.snapshotId}`, `record ${ID}.json`]);

  assertEquals(await box.resume(), { from: "memory", generation: 1, reason: "" });
  assertEquals([host.vm(ID).peek(7), host.vm(ID).peek(9)], ["seven", "nine"]);
  // The old token was shown once and is dead.
  assert(host.vm(ID).envd.token !== token);
  host.vm(ID).poke(9, "ten");
  await box.hibernate();
  const second = await host.snapshots.get(box.generations[0]?.snapshotId ?? newSnapshotId());
  assertEquals(second.manifest.memory.map(({ kind, pages }) => [kind, pages]).slice(1), [
    ["diff", 2],
    ["diff", 1],
  ]);
  await box.resume();
  assertEquals([host.vm(ID).peek(7), host.vm(ID).peek(9)], ["seven", "ten"]);
  await manager.destroy(ID, "");
  assertEquals(host.left(), []);
  await manager.stop();
});

Deno.test("rollback() goes back in place, and forward again", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order());
  for (const text of ["one", "two", "three"]) {
    host.vm(ID).poke(1, text);
    await box.hibernate();
    await box.resume();
  }
  assertEquals(box.generations.map((g) => g.generation), [3, 2, 1]);
  host.vm(ID).poke(1, "lost");
  assertEquals((await box.rollback(1)).generation, 1);
  assertEquals([host.vm(ID).peek(1), box.info.state], ["one", "running"]);
  await box.pause();
  await box.rollback(3);
  assertEquals([host.vm(ID).peek(1), box.info.state], ["three", "running"]);
  assertEquals(await codeOf(box.rollback(9)), "snapshot_not_found");
  assertEquals(box.info.state, "running");
  await box.hibernate();
  assertEquals(box.info.generation, 4);
  await manager.destroy(ID, "");
  assertEquals(host.left(), []);
  await manager.stop();
});

Deno.test("fork() copies memory, leaves the source as it was, and answers with a report", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order());
  host.vm(ID).poke(3, "source");
  const kids = [2, 3, 4].map((n) => ({ id: `sb-0000000${n}` as SandboxId, executionId: "k" }));
  const made = await manager.fork(ID, kids);
  assertEquals(made.map((kid) => kid.forkReport?.hostname), kids.map(({ id }) => id));
  assertEquals(kids.map(({ id }) => host.vm(id).peek(3)), ["source", "source", "source"]);
  assertEquals(kids.map(({ id }) => host.vm(id).envd.inits[0]?.fork), [true, true, true]);
  assertEquals(host.vm(ID).isRunning, true);
  const ids = [ID, ...kids.map(({ id }) => id)];
  assertEquals(new Set(ids.map((id) => host.vm(id).envd.token)).size, 4);
  assertEquals(new Set(ids.map((id) => host.vm(id).envd.inits.at(-1)?.machineId)).size, 4);
  assertEquals(await host.snapshots.list(), []);
  // The same call again is the same copies.
  assertEquals((await manager.fork(ID, kids)).map((kid) => kid.id), kids.map(({ id }) => id));
  assertEquals(host.machines.size, 4);
  await box.hibernate();
  assertEquals(
    await codeOf(manager.fork(ID, [{ id: "sb-00000009", executionId: "k" }])),
    "sandbox_paused",
  );
  for (const id of ids) await manager.destroy(id, "");
  assertEquals(host.left(), []);
  await manager.stop();
});

Deno.test("the same fork twice at once makes its copies once", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  await manager.create(order());
  const kids = [2, 3].map((n) => ({ id: `sb-0000000${n}` as SandboxId, executionId: "k" }));
  const [one, other] = await Promise.all([manager.fork(ID, kids), manager.fork(ID, kids)]);
  assertEquals(one.map((kid) => kid === manager.get(kid.info.id)), [true, true]);
  assertEquals(other.map((kid, i) => kid === one[i]), [true, true]);
  // Who asks with other executions gets none, and takes none away.
  const others = kids.map(({ id }) => ({ id, executionId: "another" }));
  assertEquals(await codeOf(manager.fork(ID, others)), "conflict");
  assertEquals(host.machines.size, 3);
  await manager.stop();
  assertEquals(host.left(), []);
});

Deno.test("a fork of which one copy fails leaves none", async () => {
  await using host = new FakeHost();
  const manager = host.manager({ places: 1 });
  await manager.create(order());
  let starts = 0;
  host.beforeBoot = () => {
    if (++starts === 2) host.fault = "boot";
    return Promise.resolve();
  };
  const kids = [2, 3].map((n) => ({ id: `sb-0000000${n}` as SandboxId, executionId: "k" }));
  assertEquals(await codeOf(manager.fork(ID, kids)), "internal");
  host.fault = undefined;
  assertEquals([...host.machines].map((vm) => vm.owner), [ID]);
  assertEquals(await host.snapshots.list(), []);
  assertEquals(manager.get(ID).info.state, "running");
  await manager.destroy(ID, "");
  await manager.stop();
  assertEquals(host.left(), []);
});

Deno.test("a named snapshot outlives its sandbox and becomes new ones", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order());
  host.vm(ID).poke(5, "kept");
  const id = newSnapshotId();
  const snapshot = await manager.snapshot(ID, id);
  assertEquals((await manager.snapshot(ID, id)).id, id);
  assertEquals(box.generations.map((g) => [g.generation, g.named]), [[1, true]]);
  await manager.destroy(ID, "");
  assertEquals((await manager.snapshots()).map((s) => s.id), [snapshot.id]);
  const copy = await manager.create(order("sb-00000002"), id);
  assertEquals(host.vm("sb-00000002").peek(5), "kept");
  assertEquals([copy.info.spec.memoryMb, copy.info.generation], [256, 0]);
  await manager.deleteSnapshot(id);
  await manager.deleteSnapshot(id);
  assertEquals(await codeOf(manager.create(order("sb-00000003"), id)), "snapshot_not_found");
  await copy.hibernate();
  await copy.resume();
  assertEquals(host.vm("sb-00000002").peek(5), "kept");
  await manager.destroy("sb-00000002", "");
  assertEquals(host.left(), []);
  await manager.stop();
});

Deno.test("R-18: damaged memory boots the disk and says so; damaged disk is refused", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order());
  host.vm(ID).poke(1, "x");
  await box.hibernate();
  const flip = async (kind: "memory" | "disk"): Promise<void> => {
    const { dir, manifest } = await host.snapshots.get(
      box.generations[0]?.snapshotId ?? newSnapshotId(),
    );
    const path = `${dir}/${manifest[kind].at(-1)?.file}`;
    const bytes = await Deno.readFile(path);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await Deno.writeFile(path, bytes);
    await Deno.utime(path, 1, 1);
  };
  await flip("memory");
  const restored = await box.resume();
  assertEquals(restored.from, "disk");
  assert(restored.reason.startsWith("snapshot_corrupt: "), restored.reason);
  await box.hibernate();
  await flip("disk");
  assertEquals(await codeOf(box.resume()), "snapshot_corrupt");
  assertEquals([box.info.state, host.machines.size], ["hibernated", 0]);
  await manager.destroy(ID, "");
  assertEquals(host.left(), []);
  await manager.stop();
});

Deno.test("R-19: a snapshot of another VMM is refused, not booted", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order());
  await box.hibernate();
  const vmm = host.vmm();
  const other = host.manager({
    parts: { vmm: { ...vmm, environment: { ...vmm.environment, vmm: "fake 2.0" } } },
  });
  const { info } = box;
  const found = other.found({
    id: info.id,
    executionId: info.executionId,
    state: "hibernated",
    spec: info.spec,
    createdAt: 1,
    startedAt: 1,
    generations: box.generations,
    generation: 1,
    machine: undefined,
    wakesFrom: box.generations[0]?.snapshotId,
    reason: undefined,
  }, undefined);
  const error = await assertRejects(() => found.resume(), WrennError);
  assertEquals(error.code, "snapshot_incompatible");
  assert(error.message.includes("'fake 1.0'"), error.message);
  assertEquals(found.info.state, "hibernated");
  await other.destroy(ID, "");
  await manager.stop();
});

Deno.test("a machine that dies while it stands still leaves its disk", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order());
  const changes = manager.watch(new AbortController().signal);
  await box.pause();
  await host.vm(ID).end({ code: undefined, signal: "SIGKILL", tail: "" });
  for await (const { state } of changes) if (state === "hibernated") break;
  assertEquals(host.disks.ids(), [ID]);
  assertEquals((await box.resume()).from, "disk");
  assertEquals(box.info.state, "running");
  await manager.destroy(ID, "");
  assertEquals(host.left(), []);
  await manager.stop();
});

Deno.test("paused sandboxes hibernate after their time and when memory is short", async () => {
  await using host = new FakeHost();
  let ahead = 0;
  let available = 100_000;
  const clock = { now: () => Date.now(), monotonic: () => performance.now() + ahead };
  const manager = host.manager({
    parts: { clock },
    pausedSec: 60,
    memoryAvailableMb: () => available,
  });
  const changes = manager.watch(new AbortController().signal);
  const until = async (id: string, state: string): Promise<void> => {
    for await (const info of changes) if (info.id === id && info.state === state) return;
  };
  const [a, b] = [await manager.create(order()), await manager.create(order("sb-00000002", 30))];
  await a.pause();
  ahead = 31_000;
  manager.tick(clock.monotonic());
  await until("sb-00000002", "hibernated");
  assertEquals(a.info.state, "paused");
  ahead = 61_000;
  manager.tick(clock.monotonic());
  await until(ID, "hibernated");
  await a.resume();
  await b.resume();
  await a.pause();
  available = 100;
  manager.tick(clock.monotonic());
  await until(ID, "hibernated");
  assertEquals(b.info.state, "running");
  for (const id of [ID, "sb-00000002"] as const) await manager.destroy(id, "");
  await manager.stop();
  assertEquals(host.left(), []);
});

Deno.test("chains of memory and layers stay short over many generations", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order());
  for (let n = 1; n <= 12; n++) {
    host.vm(ID).poke(n, `page ${n}`);
    await manager.snapshot(ID, newSnapshotId());
    await manager.deleteSnapshot((await manager.snapshots())[0]?.id ?? newSnapshotId());
  }
  await box.hibernate();
  const { manifest } = await host.snapshots.get(box.generations[0]?.snapshotId ?? newSnapshotId());
  assert(manifest.memory.length <= 10, `${manifest.memory.length} memory files`);
  assert(manifest.disk.length <= 11, `${manifest.disk.length} layers`);
  await box.resume();
  for (let n = 1; n <= 12; n++) assertEquals(host.vm(ID).peek(n), `page ${n}`);
  await manager.destroy(ID, "");
  await manager.stop();
  assertEquals(host.left(), []);
});
