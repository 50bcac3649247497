import { assert, assertEquals } from "@std/assert";
import { incompatibility } from "./snapshot_compatibility.ts";
import type { SnapshotEnvironment } from "../snapshot/manifest.ts";
import { needsCollapse } from "./snapshot_chain.ts";

const HERE = {
  vmm: "qemu 7.2.22",
  accelerator: "tcg",
  cpu_model: "Nehalem,-spec-ctrl,+arat",
  tsc_khz: 2_000_000,
  kernel_hash: "a".repeat(64),
} as const;

/** What is said of a snapshot from there, made on this kind of layer, on a host with qcow2. */
function saidOf(environment: SnapshotEnvironment, layer: string = "l.qcow2"): string | undefined {
  const disk = [{ file: "base-00.ext4" }, { file: layer }];
  return incompatibility({ environment, disk }, { environment: HERE, rootfs: "qcow2" });
}

Deno.test("a snapshot on another kind of disks is refused with a sentence", () => {
  const why = "Snapshot was made on disks of 'dm', this host has 'qcow2'";
  assertEquals(saidOf(HERE, "layer-00.cow"), why);
  const disk = [{ file: "base-00.ext4" }, { file: "layer-00.cow" }];
  const made = { environment: HERE, disk };
  assertEquals(incompatibility(made, { environment: HERE, rootfs: "dm" }), undefined);
});

Deno.test("R-19: a snapshot of another VMM, CPU or kernel is refused with a sentence", () => {
  assertEquals(saidOf(HERE), undefined);
  const others: [Partial<Record<keyof typeof HERE, unknown>>, string][] = [
    [{ vmm: "qemu 8.2.0" }, "'qemu 8.2.0', this host has 'qemu 7.2.22'"],
    [{ vmm: "firecracker 1.15.0" }, "firecracker"],
    [{ accelerator: "kvm" }, "'kvm', this host has 'tcg'"],
    [{ cpu_model: "host" }, "'host'"],
    [{ kernel_hash: "b".repeat(64) }, "'bbbbbbbbbbbb'"],
    [{ tsc_khz: 2_100_000 }, "'2100000'"],
  ];
  for (const [change, part] of others) {
    const why = saidOf({ ...HERE, ...change } as typeof HERE);
    assert(why?.includes(part), String(why));
  }
});

Deno.test("a counter that is read a little differently is the same counter", () => {
  assertEquals(
    saidOf({ ...HERE, tsc_khz: 2_000_300 }),
    undefined,
  );
});

Deno.test("needsCollapse() counts what lies above the golden snapshot", () => {
  const memory = (diffs: number) => [
    { kind: "base" as const, file: "b", bytes: 0, digest: "", pages: 0 },
    ...Array.from({ length: diffs }, () => ({
      kind: "diff" as const,
      file: "d",
      bytes: 0,
      digest: "",
      pages: 0,
    })),
  ];
  const disk = (layers: number) =>
    Array.from({ length: layers }, () => ({
      file: "l",
      bytes: 0,
      digest: "",
      digested: "whole" as const,
    }));
  assertEquals(needsCollapse({ memory: memory(8), disk: disk(10) }), false);
  assertEquals(needsCollapse({ memory: memory(9), disk: disk(10) }), true);
  assertEquals(needsCollapse({ memory: memory(0), disk: disk(11) }), true);
});
