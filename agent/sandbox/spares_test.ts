import { assert, assertEquals } from "@std/assert";
import { delay, type SnapshotId } from "@wrenn/common";
import { FakeHost } from "../testing/fake_host.ts";
import type { Snapshot } from "../snapshot/mod.ts";
import type { SpareSpec, SpareVm } from "../vmm/driver.ts";
import { GoldenSnapshots } from "./golden.ts";
import { type HostParts, restoreMachine } from "./machine.ts";
import { Spares } from "./spares.ts";

const { signal } = new AbortController();

/** A process that waits: it becomes a machine of the host. */
interface FakeSpare extends SpareVm {
  readonly spec: SpareSpec;
  /** What happened to it. */
  fate: "waits" | "machine" | "dead";
  /** As a signal from outside would. */
  die(): void;
}

/** A host that keeps processes waiting, and the golden snapshot that they fit. */
async function withSpares(
  test: (host: SpareHost) => Promise<void>,
  options: { count?: number; availableMb?: () => number } = {},
): Promise<void> {
  await using host = new FakeHost();
  const vmm = host.vmm();
  const made: FakeSpare[] = [];
  const behaviour = { prepareFails: false, restoreFails: false };
  const prepare = (spec: SpareSpec): Promise<SpareVm> => {
    if (behaviour.prepareFails) return Promise.reject(new Error("It does not start"));
    const ended = Promise.withResolvers<void>();
    const spare: FakeSpare = {
      ...{ spec, vmId: spec.vmId, pid: made.length + 2, fate: "waits", ended: ended.promise },
      die: () => {
        spare.fate = "dead";
        ended.resolve();
      },
      restore: async (order) => {
        if (behaviour.restoreFails || spare.fate !== "waits") throw new Error("It does not load");
        spare.fate = "machine";
        return await vmm.restore(order);
      },
      kill: () => Promise.resolve(spare.die()),
    };
    made.push(spare);
    return Promise.resolve(spare);
  };
  const parts = { ...host.parts(), vmm: { ...vmm, prepare } };
  const { count = 2, availableMb = () => 100_000 } = options;
  const spares = new Spares({ parts, count, reserveMb: 0, availableMb });
  const golden = new GoldenSnapshots({ parts, store: host.goldens });
  const snapshot = await golden.get({ template: "base", vcpus: 1, memoryMb: 64, diskMb: 0 });
  spares.start();
  await test({ host, parts: { ...parts, spares }, spares, snapshot, made, behaviour });
  await spares.stop();
  for (const vm of [...host.machines]) await vm.kill();
  assertEquals(made.filter(({ fate }) => fate === "waits"), []);
  assertEquals(host.left().filter((left) => !left.startsWith("disk sb-")), []);
}

interface SpareHost {
  readonly host: FakeHost;
  readonly parts: HostParts;
  readonly spares: Spares;
  readonly snapshot: Snapshot;
  readonly made: FakeSpare[];
  readonly behaviour: { prepareFails: boolean; restoreFails: boolean };
}

async function until(true_: () => boolean): Promise<void> {
  while (!true_()) await delay(5);
}

Deno.test("Spares bring a machine back in a process that waited, and make another", async () => {
  await withSpares(async ({ parts, spares, snapshot, made, host }) => {
    assertEquals(spares.figures(), { ready: 0, target: 0, hits: 0, misses: 0 });
    await spares.seen(snapshot);
    await until(() => spares.figures().ready === 2);
    const machine = await restoreMachine(parts, { snapshot, diskId: "sb-00000001" }, signal);
    const used = made[0];
    assert(used && used.fate === "machine");
    assertEquals(
      [machine.slot.index, machine.runDir, machine.vm.vmId],
      [used.spec.slot.index, used.spec.runDir, used.vmId],
    );
    assert(machine.disk.folder.endsWith("/sb-00000001"));
    await until(() => spares.figures().ready === 2);
    assertEquals([made.length, spares.figures().hits], [3, 1]);
    await machine.stop.run();
    assertEquals(host.left().filter((left) => left.includes("sb-")), []);
  });
});

Deno.test("Spares of another memory are of no use, and a machine comes all the same", async () => {
  await withSpares(async ({ parts, spares, snapshot, made }) => {
    await spares.seen(snapshot);
    await until(() => spares.figures().ready === 2);
    const other = { ...snapshot, manifest: { ...snapshot.manifest, vcpus: 2 } };
    const machine = await restoreMachine(
      parts,
      { snapshot: other, diskId: "sb-00000001" },
      signal,
    );
    assertEquals([made[0]?.fate, spares.figures().misses], ["waits", 1]);
    await machine.stop.run();
  });
});

Deno.test("Spares that fail or die give way to a new process and leave nothing", async () => {
  await withSpares(async ({ parts, spares, snapshot, made, behaviour, host }) => {
    await spares.seen(snapshot);
    await until(() => spares.figures().ready === 2);
    behaviour.restoreFails = true;
    const machine = await restoreMachine(parts, { snapshot, diskId: "sb-00000001" }, signal);
    assertEquals(made[0]?.fate, "dead");
    assert(machine.slot.index !== made[0]?.spec.slot.index);
    await machine.stop.run();
    behaviour.restoreFails = false;
    await until(() => spares.figures().ready === 2);
    const before = made.length;
    made.find(({ fate }) => fate === "waits")?.die();
    await until(() => made.length > before && spares.figures().ready === 2);
    assertEquals(host.left().filter((left) => left.includes("spare-")).length, 2);
  });
});

Deno.test("Spares that cannot be made are not asked for again at once", async () => {
  await withSpares(async ({ spares, snapshot, behaviour, made, host }) => {
    behaviour.prepareFails = true;
    await spares.seen(snapshot);
    await delay(400);
    assertEquals([made.length, spares.figures().ready], [0, 0]);
    assertEquals(host.left(), [], "what was made for it is gone");
  });
});

Deno.test("Spares give way when memory is short, and are none when none are wanted", async () => {
  let availableMb = 100_000;
  await withSpares(async ({ spares, snapshot, made }) => {
    await spares.seen(snapshot);
    await until(() => spares.figures().ready === 2);
    availableMb = -1;
    await spares.seen(snapshot);
    await until(() => spares.figures().ready === 0);
    assertEquals(made.map(({ fate }) => fate), ["dead", "dead"]);
  }, { availableMb: () => availableMb });
  await withSpares(async ({ spares, snapshot, made }) => {
    await spares.seen(snapshot);
    assertEquals(await spares.take(snapshot), undefined);
    await delay(300);
    assertEquals(made.length, 0);
  }, { count: 0 });
});

Deno.test("Spares forget a memory file that is gone", async () => {
  await withSpares(async ({ spares, snapshot, made, host }) => {
    await spares.seen(snapshot);
    await until(() => spares.figures().ready === 2);
    await host.goldens.remove(snapshot.id as SnapshotId);
    made[0]?.die();
    made[1]?.die();
    await until(() => spares.figures().target === 0);
  });
});
