import { delay } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newLayerName } from "../disk_files.ts";
import type { BlockDevice } from "../store.ts";
import { digests, sameBytes } from "../testing/template_files.ts";
import { type DmFixture, dmTest, dropCache, openDm } from "./testing/dm_fixture.ts";

const MIB = 1024 * 1024;
const A = "sb-0000000a";
const B = "sb-0000000b";

async function disk(f: DmFixture, sizeMb: number): Promise<BlockDevice> {
  await f.addTemplate("base", 4, 1);
  const base = await f.store.acquireBase("base");
  const made = await f.store.overlay(A, base, sizeMb);
  f.store.releaseBase(base);
  return made;
}

/** Puts another layer into force. */
async function grow(f: DmFixture, from: BlockDevice): Promise<BlockDevice> {
  const next = await f.store.addLayer(from, 0);
  await f.store.switchTo(next, undefined);
  return next;
}

const BLOCK = 4096;

/** Writes blocks one after the other, each with its number, as a guest that never rests. */
class Writer {
  #stopped = false;
  readonly #done: Promise<void>;
  /** Blocks that are confirmed. */
  blocks = 0;

  constructor({ path, sizeMb }: BlockDevice) {
    this.#done = this.#run(path, sizeMb * MIB / BLOCK);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(path: string, places: number): Promise<void> {
    using device = await Deno.open(path, { write: true });
    while (!this.#stopped) {
      await device.seek(this.blocks * 7 % places * BLOCK, Deno.SeekMode.Start);
      await device.write(new Uint8Array(BLOCK).fill(1 + this.blocks % 200));
      await device.sync();
      this.blocks++;
    }
  }
}

/** What the writer's disk holds after so many blocks. */
function expected({ sizeMb }: BlockDevice, blocks: number): Uint8Array {
  const all = new Uint8Array(sizeMb * MIB);
  all.fill(1, 0, 4 * MIB);
  for (let i = 0; i < blocks; i++) {
    const at = i * 7 % (all.length / BLOCK) * BLOCK;
    all.fill(1 + i % 200, at, at + BLOCK);
  }
  return all;
}

async function until(condition: () => boolean): Promise<void> {
  const limit = AbortSignal.timeout(120_000);
  while (!condition()) await delay(10, limit);
}

dmTest(
  "switchTo() under an open writer freezes one moment, which never changes again",
  async () => {
    await using f = await openDm();
    let top = await disk(f, 8);
    const writer = new Writer(top);
    const moments: {
      folder: string;
      layers: readonly string[];
      digests: string[];
      least: number;
      most: number;
    }[] = [];
    for (let i = 0; i < 3; i++) {
      await until(() => writer.blocks > (i + 1) * 150);
      const next = await f.store.addLayer(top, 0);
      const least = writer.blocks;
      await f.store.switchTo(next, undefined);
      const most = writer.blocks;
      top = next;
      const { folder, layers } = await f.store.freeze(top, await f.snapshotFolder(), {
        below: true,
      });
      moments.push({ folder, layers, digests: await digests(folder, layers), least, most });
    }
    await until(() => writer.blocks > 700);
    await writer.stop();
    await dropCache(top);
    assert(sameBytes(await Deno.readFile(top.path), expected(top, writer.blocks)));
    for (const { folder, layers, least, most, ...moment } of moments) {
      assertEquals(await digests(folder, layers), moment.digests);
      const copy = await f.store.overlayOn(B, { folder, layers, sizeMb: 8 });
      const seen = await Deno.readFile(copy.path);
      // One block at a time is under way, so that a moment is a number of them.
      const whole = Array.from({ length: most - least + 2 }, (_, i) => least + i)
        .some((n) => sameBytes(seen, expected(top, n)));
      assert(whole, `The moment between ${least} and ${most} blocks is none that the disk had`);
      await f.store.remove(B);
    }
  },
);

dmTest(
  "switchTo() and freeze() take what was written through the page cache and never synced",
  async () => {
    await using f = await openDm();
    const first = await disk(f, 8);
    using device = await Deno.open(first.path, { write: true });
    const put = async (at: number, fill: number): Promise<void> => {
      await device.seek(at, Deno.SeekMode.Start);
      await device.write(new Uint8Array(MIB).fill(fill));
    };
    await put(MIB, 5);
    const second = await grow(f, first);
    const below = await f.store.freeze(second, await f.snapshotFolder(), { below: true });
    const copy = await f.store.overlayOn(B, below);
    assert(await f.holds(copy, MIB, MIB, 5), "a layer that is frozen has it");
    await f.store.remove(B);
    await put(2 * MIB, 6);
    const all = await f.store.freeze(second, await f.snapshotFolder());
    const other = await f.store.overlayOn(B, all);
    assert(await f.holds(other, MIB, MIB, 5) && await f.holds(other, 2 * MIB, MIB, 6));
  },
);

dmTest(
  "a layer that cannot be put into force leaves the disk as it was, its writer at work",
  async () => {
    await using f = await openDm();
    const top = await disk(f, 8);
    const before = await f.picture();
    const writer = new Writer(top);
    await until(() => writer.blocks > 20);
    const next = await f.store.addLayer(top, 0);
    const added = `${top.folder}/${next.layers.at(-1)}`;
    await Deno.truncate(added, 512);
    await assertRejects(() => f.store.switchTo(next, undefined));
    const then = writer.blocks;
    await until(() => writer.blocks > then + 20);
    await writer.stop();
    assertEquals(await f.picture(), before);
    assertEquals(await f.store.asWritten(await f.store.find(A), undefined), top);
    await dropCache(top);
    assert(sameBytes(await Deno.readFile(top.path), expected(top, writer.blocks)));
  },
);

dmTest(
  "flatten() under an open writer keeps the content, and what shares its layers goes on",
  async () => {
    await using f = await openDm();
    let top = await disk(f, 16);
    const writer = new Writer(top);
    for (let i = 0; i < 6; i++) {
      await until(() => writer.blocks > (i + 1) * 60);
      top = await grow(f, top);
    }
    const keep = top.layers[1] ?? "";
    const frozen = await f.store.freeze(top, await f.snapshotFolder(), { below: true });
    const clone = await f.store.overlayOn(B, frozen);
    const cloned = await Deno.readFile(clone.path);
    const flat = await f.store.flatten(top, keep, undefined);
    assertEquals([flat.layers.length, flat.layers.slice(0, 2)], [4, top.layers.slice(0, 2)]);
    assertEquals([flat.layers.at(-1), flat.path], [top.layers.at(-1), top.path]);
    const then = writer.blocks;
    await until(() => writer.blocks > then + 60);
    await writer.stop();
    await dropCache(flat);
    assert(sameBytes(await Deno.readFile(flat.path), expected(flat, writer.blocks)));
    assertEquals(await f.store.find(A), flat);
    const names = await Array.fromAsync(Deno.readDir(flat.folder), ({ name }) => name);
    assertEquals(names.sort(), [...flat.layers, "disk.json"].sort());
    await dropCache(clone);
    assert(sameBytes(await Deno.readFile(clone.path), cloned), "the clone has its layers");
    await f.store.remove(B);
    const shared = (await f.devices()).filter((name) => /^(base|ro)-/.test(name));
    assertEquals(shared.length, 3, "the layers in between are gone with their last user");
  },
);

dmTest("flatten() leaves a short chain alone and knows the disk's layers", async () => {
  await using f = await openDm();
  const top = await grow(f, await grow(f, await disk(f, 8)));
  assertEquals(await f.store.flatten(top, top.layers[1] ?? "", undefined), top);
  await assertRejects(
    () => f.store.flatten(top, newLayerName("cow"), undefined),
    Error,
    "no layer",
  );
});

dmTest("a chain of 20 layers shows every one of them", async () => {
  await using f = await openDm();
  let top = await disk(f, 32);
  for (let i = 0; i < 20; i++) {
    await f.write(top, i * MIB, 65536, 30 + i);
    top = await grow(f, top);
  }
  await dropCache(top);
  for (let i = 0; i < 20; i++) assert(await f.holds(top, i * MIB, 65536, 30 + i), `Layer ${i}`);
  assert(await f.holds(top, 21 * MIB, MIB, 0));
});
