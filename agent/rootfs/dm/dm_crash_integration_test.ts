import { runCommand } from "@wrenn/common";
import { assert, assertEquals } from "@std/assert";
import { basename } from "node:path";
import type { BlockDevice } from "../store.ts";
import { DeviceMapper } from "./device_mapper.ts";
import type { DmStore } from "./dm_store.ts";
import { type DmFixture, dmTest, dropCache, dyingRun, openDm } from "./testing/dm_fixture.ts";

const MIB = 1024 * 1024;
const A = "sb-0000000a";
const B = "sb-0000000b";

async function disk(f: DmFixture): Promise<BlockDevice> {
  await f.addTemplate("base", 4, 1);
  const base = await f.store.acquireBase("base");
  const made = await f.store.overlay(A, base, 0);
  f.store.releaseBase(base);
  return made;
}

/** Puts another layer into force. */
async function grow(store: DmStore, from: BlockDevice): Promise<BlockDevice> {
  const next = await store.addLayer(from, 0);
  await store.switchTo(next, undefined);
  return next;
}

/**
 * Performs `work` with an agent that dies before each of its commands in turn, and `judge` with a new one, until an
 * agent lives to the end. Answers how many commands that took.
 */
async function atEveryCommand(
  prepare: (f: DmFixture) => Promise<BlockDevice>,
  work: (store: DmStore, made: BlockDevice) => Promise<unknown>,
  judge: (f: DmFixture, made: BlockDevice) => Promise<void>,
): Promise<number> {
  for (let at = 0;; at++) {
    await using f = await openDm();
    const made = await prepare(f);
    const { run, died } = dyingRun(at);
    const lives = await Promise.race([
      died.then(() => false),
      work(f.reopen({ run }), made).then(() => true),
    ]);
    await judge(f, made);
    if (lives) return at;
  }
}

dmTest("a disk whose agent dies while it is made leaves nothing behind", async () => {
  let before: string[] = [];
  const commands = await atEveryCommand(
    async (f) => {
      const made = await disk(f);
      before = await f.picture();
      return made;
    },
    async (store) => {
      const base = await store.acquireBase("base");
      await store.overlay(B, base, 8);
    },
    async (f, made) => {
      const next = f.reopen();
      await next.sweep(new Set([A]));
      assertEquals(await f.picture(), before);
      assertEquals(await next.sweep(new Set([A])), 0);
      assert(await f.holds(made, 0, 4 * MIB, 1));
    },
  );
  assert(commands >= 7, `Only ${commands} commands`);
});

dmTest("a disk whose agent dies while it is removed is whole or gone", async () => {
  const commands = await atEveryCommand(
    disk,
    (store) => store.remove(A),
    async (f) => {
      const next = f.reopen();
      await next.sweep(new Set([A]));
      if (await f.store.find(A).then(() => true, () => false)) {
        assert(await f.holds(await next.find(A), 0, 4 * MIB, 1));
      }
      await next.sweep(new Set());
      assertEquals([await f.devices(), await f.loops()], [[], []]);
    },
  );
  assert(commands >= 3, `Only ${commands} commands`);
});

dmTest("a disk whose agent dies while a layer is added is whole and goes on", async () => {
  const commands = await atEveryCommand(
    async (f) => {
      const made = await disk(f);
      await f.write(made, MIB, MIB, 5);
      return made;
    },
    grow,
    async (f, made) => {
      // A VMM has it open all the time.
      using open = await Deno.open(made.path, { write: true });
      const next = f.reopen();
      assertEquals(await next.sweep(new Set([A])), 0);
      const found = await next.asWritten(await next.find(A), undefined);
      assertEquals(found.path, made.path);
      assertEquals(found.layers.slice(0, 2), made.layers);
      assertEquals(await next.find(A), found, "asWritten() settled it");
      const names = await Array.fromAsync(Deno.readDir(found.folder), ({ name }) => name);
      assertEquals(names.sort(), [...found.layers, "disk.json"].sort(), "no stray layer");
      await open.seek(2 * MIB, Deno.SeekMode.Start);
      await open.write(new Uint8Array(MIB).fill(6));
      await open.sync();
      const top = await grow(next, found);
      await dropCache(top);
      assert(await f.holds(top, 0, MIB, 1) && await f.holds(top, MIB, MIB, 5));
      assert(await f.holds(top, 2 * MIB, MIB, 6) && await f.holds(top, 3 * MIB, MIB, 1));
    },
  );
  assert(commands >= 8, `Only ${commands} commands`);
});

dmTest("a disk whose agent dies while it is flattened is whole and goes on", async () => {
  const commands = await atEveryCommand(
    async (f) => {
      let top = await disk(f);
      for (let i = 0; i < 3; i++) {
        await f.write(top, i * MIB, MIB, 10 + i);
        top = await grow(f.store, top);
      }
      return top;
    },
    (store, made) => store.flatten(made, made.layers[1] ?? "", undefined),
    async (f, made) => {
      const next = f.reopen();
      assertEquals(await next.sweep(new Set([A])), 0);
      const found = await next.asWritten(await next.find(A), undefined);
      assert(found.layers.length === 4 || found.layers.length === made.layers.length);
      await f.write(found, 3 * MIB, MIB, 20);
      const top = await grow(next, found);
      await dropCache(top);
      for (const [i, fill] of [10, 11, 12, 20].entries()) {
        assert(await f.holds(top, i * MIB, MIB, fill), `MiB ${i}`);
      }
    },
  );
  assert(commands >= 8, `Only ${commands} commands`);
});

dmTest("sweep() clears every kind of leftover, and twice is as good as once", async () => {
  await using f = await openDm();
  const made = await disk(f);
  const before = await f.picture();
  const dm = new DeviceMapper();
  const name = (part: string): string => `wrenn-${f.store.instance}-${part}`;
  // A loop device that no device came to use, also one whose file is gone.
  const stray = `${f.dataDir}/sandboxes/${A}/stray`;
  for (const file of [stray, `${stray}2`]) {
    await Deno.writeFile(file, new Uint8Array(65536));
    await runCommand(["losetup", "--find", "--show", file]);
    await Deno.remove(file);
  }
  // Devices without a table, of a disk and shared; and devices of disks that have no folder.
  await runCommand(["dmsetup", "create", "--notable", name("00000000000000aa")]);
  await runCommand(["dmsetup", "create", "--notable", name("ro-00000000000000bb")]);
  await dm.create(name("00000000000000cc"), "0 8 zero", { readOnly: false });
  await dm.create(name("ro-00000000000000dd"), "0 8 zero", { readOnly: true });
  await dm.create(
    name("ro-00000000000000ee"),
    `0 8 linear /dev/mapper/${name("ro-00000000000000dd")} 0`,
    { readOnly: true },
  );
  await dm.suspend([name("00000000000000cc")]);
  // A folder that got no further than its link.
  await Deno.mkdir(`${f.dataDir}/sandboxes/${B}`);
  assert((await f.picture()).length > before.length + 6);
  // The kept disk was suspended for a layer that never came.
  await dm.suspend([basename(made.path)]);
  assertEquals(await f.reopen().sweep(new Set([A])), 1);
  assertEquals(await f.picture(), before);
  assert(await f.holds(made, 0, 4 * MIB, 1));
  assertEquals(await f.reopen().sweep(new Set([A])), 0);
  assertEquals(await f.picture(), before);
});
