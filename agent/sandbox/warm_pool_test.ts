import { assertEquals } from "@std/assert";
import { delay, type SandboxId } from "@wrenn/common";
import { FakeHost } from "../testing/fake_host.ts";
import { GoldenSnapshots } from "./golden.ts";
import { fromTemplate, type Started } from "./start.ts";
import type { SandboxOrder } from "./types.ts";
import { type PoolOptions, WarmPools } from "./warm_pool.ts";

const KEY = { template: "base", vcpus: 1, memoryMb: 256, diskMb: 0 };

function order(n: number, internet: boolean = true): SandboxOrder {
  return {
    id: `sb-0000000${n}` as SandboxId,
    executionId: "e1",
    spec: {
      ...KEY,
      timeoutSec: 0,
      onTimeout: "destroy",
      env: {},
      network: { internet, allowOut: [], denyOut: [] },
    },
  };
}

async function withPools(
  test: (
    pools: WarmPools,
    host: FakeHost,
    start: (n: SandboxOrder) => Promise<Started>,
  ) => Promise<void>,
  options: Partial<PoolOptions> = {},
): Promise<void> {
  await using host = new FakeHost();
  const parts = host.parts();
  const golden = new GoldenSnapshots({ parts, store: host.goldens });
  const pools = new WarmPools({
    parts,
    golden,
    min: 2,
    max: 4,
    keep: [KEY],
    reserveMb: 0,
    availableMb: () => 100_000,
    policy: { internet: true, allowOut: [], denyOut: [] },
    ...options,
  });
  pools.start();
  const starter = fromTemplate({ parts, golden, pools });
  await test(pools, host, (o) => starter(o, new AbortController().signal));
  await pools.stop();
  for (const vm of [...host.machines].filter((vm) => host.ownerOf(vm).startsWith("sb-"))) {
    await vm.kill();
  }
  assertEquals(host.left().filter((thing) => thing.includes("warm")), []);
}

async function untilReady(pools: WarmPools, ready: number): Promise<void> {
  while (pools.figures()[0]?.ready !== ready) await delay(5);
}

Deno.test("a claim takes a sealed machine with its disk renamed, and the pool refills", () =>
  withPools(async (pools, host, start) => {
    await untilReady(pools, 2);
    assertEquals([...host.machines].map((vm) => [vm.isRunning, vm.envd.token]), [
      [false, undefined],
      [false, undefined],
    ]);
    const { machine, way, timing } = await start(order(1));
    assertEquals(way, "claim");
    assertEquals(Object.keys(timing), ["claim", "policy", "resume", "init"]);
    assertEquals(machine.disk.folder.endsWith("/sb-00000001"), true);
    assertEquals([machine.guest !== undefined, await machine.vm.running()], [true, true]);
    await untilReady(pools, 2);
    const [{ hits, misses } = { hits: 0, misses: 0 }] = pools.figures();
    assertEquals([hits, misses], [1, 0]);
    await machine.stop.run();
    assertEquals(host.disks.ids().every((id) => id.startsWith("warm-")), true);
  }));

Deno.test("C-5: the policy is in force before a claimed machine runs", () =>
  withPools(async (pools, host, start) => {
    await untilReady(pools, 2);
    for (const vm of host.machines) {
      const resume = vm.resume.bind(vm);
      vm.resume = () => {
        assertEquals(host.policies.get(vm.spec.slot.index)?.internet, false);
        return resume();
      };
    }
    const { machine } = await start(order(1, false));
    assertEquals(await machine.vm.running(), true);
    await machine.stop.run();
  }));

Deno.test("a machine that is of no use is thrown away, and the create is restored", () =>
  withPools(async (pools, host, start) => {
    await untilReady(pools, 1);
    for (const vm of host.machines) Object.assign(vm.envd.faults, { initFails: true });
    const { machine, way } = await start(order(1));
    assertEquals(way, "restore");
    await machine.stop.run();
  }, { min: 1, max: 1 }));

Deno.test("a machine that dies in the pool is replaced", () =>
  withPools(async (pools, host) => {
    await untilReady(pools, 2);
    const [first] = host.machines;
    await first?.kill();
    await untilReady(pools, 1);
    await untilReady(pools, 2);
    assertEquals([...host.machines].includes(first ?? [...host.machines][0] as never), false);
  }));

Deno.test("machines of an image that was replaced are replaced, too", () =>
  withPools(async (pools, host, start) => {
    await untilReady(pools, 1);
    const [old] = host.machines;
    host.disks.base = { ...host.disks.base, hash: "another" };
    await old?.exited;
    await untilReady(pools, 1);
    const { machine, way } = await start(order(1));
    assertEquals([way, machine.template.hash], ["claim", "another"]);
    await machine.stop.run();
  }, { min: 1, max: 1 }));

Deno.test("memory that is short empties the pool", async () => {
  let available = 100_000;
  await withPools(async (pools) => {
    await untilReady(pools, 2);
    available = -1000;
    await untilReady(pools, 0);
    assertEquals(pools.figures()[0]?.target, 0);
  }, { availableMb: () => available });
});

Deno.test("shed() drops machines at once", () =>
  withPools(async (pools) => {
    await untilReady(pools, 2);
    assertEquals(await pools.shed(1), 1);
  }));
