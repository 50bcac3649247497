import { assert, assertEquals } from "@std/assert";
import { basename } from "node:path";
import { layersContract } from "../layers_contract.ts";
import { assertCode, storeContract } from "../store_contract.ts";
import type { BlockDevice, FrozenDisk } from "../store.ts";
import { digests } from "../testing/template_files.ts";
import { deviceNamed, type DmFixture, dmTest, fault, openDm } from "./testing/dm_fixture.ts";

const MIB = 1024 * 1024;
const A = "sb-0000000a";
const B = "sb-0000000b";

storeContract("DmStore", openDm, { ignore: fault !== undefined });
layersContract("DmStore", openDm, { ignore: fault !== undefined });

async function disk(f: DmFixture, id: string = A, sizeMb: number = 0): Promise<BlockDevice> {
  await f.addTemplate("base", 4, 1);
  const base = await f.store.acquireBase("base");
  try {
    return await f.store.overlay(id, base, sizeMb);
  } finally {
    f.store.releaseBase(base);
  }
}

/** A golden disk: the base, a layer with 1 MiB of fives, and nothing else left. */
async function golden(f: DmFixture): Promise<FrozenDisk> {
  const made = await disk(f);
  await f.write(made, 0, MIB, 5);
  const frozen = await f.store.freeze(made, await f.snapshotFolder());
  await f.store.remove(A);
  return frozen;
}

const warm = (n: number): string => `warm-${n.toString(16).padStart(16, "0")}`;

dmTest("DmStore gives a VM's user no way into its files and devices", async () => {
  await using f = await openDm();
  const made = await disk(f);
  const modes = [made.folder, made.path, `${made.folder}/${made.layers[1]}`];
  const seen = await Promise.all(modes.map(async (path) => {
    const { mode, uid, gid } = await Deno.stat(path);
    return [(mode ?? 0) & 0o777, uid, gid];
  }));
  assertEquals(seen, [[0o711, 0, 0], [0o600, 0, 0], [0o600, 0, 0]]);
  assertEquals([made.format, made.path], [
    "raw",
    `/dev/mapper/wrenn-${f.store.instance}-${made.path.slice(-16)}`,
  ]);
});

dmTest(
  "20 clones share one stack; none of its files changes, and it goes with the last of them",
  async () => {
    await using f = await openDm();
    const frozen = await golden(f);
    const before = [await f.picture(), await digests(frozen.folder, frozen.layers)];
    const ids = Array.from({ length: 20 }, (_, i) => warm(i));
    const clones = await Promise.all(ids.map((id) => f.store.overlayOn(id, frozen)));
    const shared = (await f.devices()).filter((name) => /^(base|ro)-/.test(name));
    assertEquals([shared.length, (await f.devices()).length, (await f.loops()).length], [
      2,
      22,
      22,
    ]);
    for (const [i, clone] of clones.entries()) await f.write(clone, 0, 2 * MIB, 40 + i);
    for (const [i, clone] of clones.entries()) {
      assert(await f.holds(clone, 0, 2 * MIB, 40 + i) && await f.holds(clone, 2 * MIB, 2 * MIB, 1));
    }
    await Promise.all(ids.slice(1).map((id) => f.store.remove(id)));
    assertEquals((await f.devices()).length, 3);
    assert(await f.holds(clones[0] as BlockDevice, 0, 2 * MIB, 40));
    await f.store.remove(warm(0));
    assertEquals([await f.picture(), await digests(frozen.folder, frozen.layers)], before);
  },
);

dmTest(
  "another agent on the same folders finds the shared devices, and its restart keeps disks open",
  async () => {
    await using f = await openDm();
    const frozen = await golden(f);
    const first = await f.store.overlayOn(warm(1), frozen);
    await f.write(first, 0, MIB, 7);
    const before = await f.devices();
    using open = await Deno.open(first.path, { read: true, write: true });
    const next = f.reopen();
    assertEquals(await next.sweep(new Set([warm(1)])), 0);
    assertEquals(await f.devices(), before);
    const second = await next.overlayOn(warm(2), frozen);
    assertEquals(
      (await f.devices()).length,
      before.length + 1,
      "base and layer are not made twice",
    );
    assertEquals(await next.find(warm(1)), first);
    await open.write(new Uint8Array(4096).fill(8));
    await open.sync();
    assert(await f.holds(first, 0, 4096, 8) && await f.holds(second, 0, MIB, 5));
  },
);

dmTest("find() brings devices up again after a restart of the host", async () => {
  await using f = await openDm();
  const made = await disk(f, A, 16);
  await f.write(made, 15 * MIB, MIB, 6);
  const next = await f.store.addLayer(made, 0);
  await f.store.switchTo(next, undefined);
  await f.write(next, 0, MIB, 7);
  const before = await f.devices();
  // What a host has after it started: the folders alone.
  await Deno.rename(`${f.dataDir}/sandboxes`, `${f.dataDir}/aside`);
  await f.reopen().sweep(new Set());
  assertEquals([await f.devices(), await f.loops()], [[], []]);
  await Deno.remove(`${f.dataDir}/sandboxes`, { recursive: true }).catch(() => {});
  await Deno.rename(`${f.dataDir}/aside`, `${f.dataDir}/sandboxes`);
  const found = await f.reopen().find(A);
  assertEquals([found, await f.devices()], [next, before]);
  assert(await f.holds(found, 0, MIB, 7) && await f.holds(found, 15 * MIB, MIB, 6));
  assert(await f.holds(found, MIB, 3 * MIB, 1) && await f.holds(found, 4 * MIB, 11 * MIB, 0));
});

dmTest("disks of several sizes over one image have a device each for it", async () => {
  await using f = await openDm();
  await f.addTemplate("base", 4, 1);
  const base = await f.store.acquireBase("base");
  const [small, large] = [await f.store.overlay(A, base, 0), await f.store.overlay(B, base, 8)];
  assertEquals((await f.devices()).filter((name) => name.startsWith("base-")).length, 2);
  assert(await f.holds(small, 0, 4 * MIB, 1) && await f.holds(large, 4 * MIB, 4 * MIB, 0));
  await f.store.remove(A);
  assert(await f.holds(large, 0, 4 * MIB, 1));
});

dmTest(
  "remove() waits for a VMM that is about to end, and refuses while it has the disk open",
  async () => {
    await using f = await openDm();
    const made = await disk(f);
    const open = await Deno.open(made.path);
    await assertCode("conflict", () => f.store.remove(A));
    assert(await f.holds(made, 0, 4 * MIB, 1), "nothing is lost by then");
    const removal = f.store.remove(A);
    setTimeout(() => open.close(), 200);
    await removal;
    assertEquals(await f.devices(), []);
  },
);

dmTest("sweep() leaves other agents' devices alone", async () => {
  await using f = await openDm();
  const made = await disk(f);
  const other = f.reopen({ instance: "ffffffff", dataDir: `${f.dataDir}/none` });
  assertEquals(await other.sweep(new Set()), 0);
  assert(await f.holds(made, 0, 4 * MIB, 1));
});

dmTest(
  "without syncWrites no flush goes down, and nothing that was written is missing",
  async () => {
    for (const syncWrites of [true, false]) {
      await using f = await openDm({ syncWrites });
      const made = await disk(f);
      const { devno } = await deviceNamed(basename(made.path));
      const cache = await Deno.readTextFile(`/sys/dev/block/${devno}/queue/write_cache`);
      assertEquals(cache.trim(), syncWrites ? "write back" : "write through");
      await f.write(made, 0, 2 * MIB, 6);
      const next = await f.store.addLayer(made, 0);
      await f.store.switchTo(next, undefined);
      const frozen = await f.store.freeze(next, await f.snapshotFolder(), { below: true });
      const copy = await f.store.overlayOn(B, frozen);
      assert(await f.holds(copy, 0, 2 * MIB, 6) && await f.holds(copy, 2 * MIB, 2 * MIB, 1));
    }
  },
);
