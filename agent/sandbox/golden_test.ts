import { assertEquals } from "@std/assert";
import type { Snapshot } from "../snapshot/mod.ts";
import { FakeHost } from "../testing/fake_host.ts";
import { markUsed, removeUnused, UNUSED_MS } from "./golden_store.ts";
import type { SandboxOrder, SandboxSpec } from "./types.ts";

function order(n: number, spec: Partial<SandboxSpec> = {}): SandboxOrder {
  return {
    id: `sb-0000000${n}`,
    executionId: "e1",
    spec: {
      ...{ template: "base", vcpus: 1, memoryMb: 256, diskMb: 0, timeoutSec: 0, env: {} },
      onTimeout: "destroy",
      network: { internet: true, allowOut: [], denyOut: [] },
      ...spec,
    },
  };
}

Deno.test("a create makes one golden snapshot per template and size, and boots for it alone", async () => {
  await using host = new FakeHost();
  const manager = host.manager({ places: 4 });
  await Promise.all([1, 2, 3].map((n) => manager.create(order(n))));
  assertEquals(host.boots, 1);
  await manager.create(order(4, { memoryMb: 512 }));
  assertEquals(host.boots, 2);
  assertEquals((await host.goldens.list()).map((s) => s.manifest.kind), ["golden", "golden"]);
  await manager.stop();
});

Deno.test("a create makes a golden snapshot anew when the kernel is told something else", async () => {
  await using host = new FakeHost();
  const bootsWith = async (line: string, n: number): Promise<number> => {
    host.bootLine = line;
    const manager = host.manager();
    await manager.create(order(n));
    await manager.stop();
    return host.boots;
  };
  assertEquals(await bootsWith("quiet", 1), 1);
  assertEquals(await bootsWith("quiet", 2), 1);
  assertEquals(await bootsWith("quiet psi=0", 3), 2);
  assertEquals(await bootsWith("quiet", 4), 2);
});

Deno.test("golden snapshots that nobody has used for a week are removed", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  await manager.create(order(1));
  const [old] = await host.goldens.list();
  const { mtime } = await Deno.stat(old?.dir ?? "");
  const now = mtime?.getTime() ?? 0;
  assertEquals(await removeUnused(host.goldens, now + UNUSED_MS - 1), 0);
  await markUsed(old as Snapshot, now + 1000);
  assertEquals(await removeUnused(host.goldens, now + UNUSED_MS), 0);
  assertEquals(await removeUnused(host.goldens, now + 1000 + UNUSED_MS), 1);
  assertEquals(await host.goldens.list(), []);
  await manager.stop();
});

Deno.test("a golden snapshot that is gone is made anew", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  await manager.create(order(1));
  const lose = async (): Promise<void> => {
    for (const { dir } of await host.goldens.list()) await Deno.remove(dir, { recursive: true });
  };
  const bootsAfter = async (n: number): Promise<number> => {
    assertEquals((await manager.create(order(n))).info.state, "running");
    return host.boots;
  };
  await lose();
  assertEquals([await bootsAfter(2), await bootsAfter(3)], [2, 2]);
  // Where nobody looked before the restore, that create boots, and the next one makes it anew.
  await lose();
  assertEquals([await bootsAfter(4), await bootsAfter(5), await bootsAfter(6)], [3, 4, 4]);
  assertEquals((await host.goldens.list()).length, 1);
  await manager.stop();
});
