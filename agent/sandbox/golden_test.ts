import { assertEquals } from "@std/assert";
import { FakeHost } from "../testing/fake_host.ts";
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
