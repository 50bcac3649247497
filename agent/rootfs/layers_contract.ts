/** What every {@linkcode RootfsStore} must do with layers: freezing, disks over frozen layers, renaming, finding. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isDiskFile, isLayer } from "./disk_files.ts";
import type { BlockDevice } from "./store.ts";
import { digests } from "./testing/template_files.ts";
import { assertCode, type OpenFixture, type StoreFixture, storeTests } from "./store_contract.ts";

const MIB = 1024 * 1024;
const A = "sb-0000000a";
const B = "sb-0000000b";
const WARM = "warm-0123456789abcdef";
const GOLD = "gold-0123456789abcdef";
/** A VM's user. */
const UID = 23456;

/** A disk of 4 MiB over a base of ones. */
async function disk(f: StoreFixture, id: string = A): Promise<BlockDevice> {
  await f.addTemplate("base", 4, 1);
  const base = await f.store.acquireBase("base");
  try {
    return await f.store.overlay(id, base, 0);
  } finally {
    f.store.releaseBase(base);
  }
}

/** The disk's own files in a folder. */
async function diskFiles(folder: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  return names.filter(isDiskFile).sort();
}

/** Path of the layer that is written. */
function topOf({ folder, layers }: BlockDevice): string {
  return `${folder}/${layers.at(-1)}`;
}

async function modeAndOwner(path: string): Promise<[number, number | null]> {
  const { mode, uid } = await Deno.stat(path);
  return [(mode ?? 0) & 0o777, uid];
}

/** Registers the tests of layers for one kind of store. */
export function layersContract(
  kind: string,
  open: OpenFixture,
  options: { ignore?: boolean } = {},
): void {
  const test = storeTests(kind, open, options);

  test("overlay() names base and layer, in the disk's folder", async (f) => {
    const made = await disk(f);
    assertEquals(made.layers.length, 2);
    assert(/^base-[0-9a-f]{16}\.ext4$/.test(made.layers[0] ?? ""), made.layers[0]);
    assert(isLayer(made.layers[1] ?? ""), made.layers[1]);
    assertEquals(await diskFiles(made.folder), [...made.layers]);
  });

  test("mergeLayers() takes layers of a draft into one that holds the same", async (f) => {
    let top = await disk(f);
    const writes = [[0, 2], [1, 3], [1, 4], [3, 5]] as const;
    for (const [mib, fill] of writes) {
      await f.write(top, mib * MIB, MIB / 2, fill);
      if (fill === 5) break;
      top = await f.store.addLayer(top, UID);
      await f.putInForce(top);
    }
    const snapshot = await f.store.freeze(top, await f.snapshotFolder());
    const before = await digests(snapshot.folder, snapshot.layers);
    const draft = await f.snapshotFolder();
    for (const name of snapshot.layers) {
      await Deno.link(`${snapshot.folder}/${name}`, `${draft}/${name}`);
    }
    const [base = "", first = ""] = snapshot.layers;
    const long = { ...snapshot, folder: draft };
    const short = await f.store.mergeLayers(long, first);
    assertEquals(short.layers.slice(0, 2), [base, first]);
    assertEquals(short.layers.length, 3);
    assertEquals(await diskFiles(draft), short.layers.toSorted());
    assertEquals(await digests(snapshot.folder, snapshot.layers), before);
    assertEquals(await f.store.mergeLayers(short, first), short);
    const copy = await f.store.overlayOn(B, short);
    await f.check(copy);
    for (const [mib, fill] of [[0, 2], [1, 4], [2, 1], [3, 5]] as const) {
      assert(await f.holds(copy, mib * MIB, MIB / 2, fill), `MiB ${mib}`);
      assert(await f.holds(copy, mib * MIB + MIB / 2, MIB / 2, 1), `MiB ${mib}, second half`);
    }
    await assertRejects(() => f.store.mergeLayers(short, "layer-0000000000000000.cow"));
  });

  test("addLayer() puts an empty layer of the VM's user on top and leaves the old one", async (f) => {
    const first = await disk(f);
    await f.write(first, 0, 4096, 5);
    const second = await f.store.addLayer(first, UID);
    assertEquals([second.folder, second.sizeMb], [first.folder, first.sizeMb]);
    assertEquals(second.layers.slice(0, -1), [...first.layers]);
    assertEquals(await modeAndOwner(topOf(second)), [0o600, f.layerOwner(UID)]);
    await f.putInForce(second);
    const before = await digests(first.folder, first.layers);
    assert(await f.holds(second, 0, 4096, 5) && await f.holds(second, 4096, 4 * MIB - 4096, 1));
    await f.write(second, 0, MIB, 6);
    assert(await f.holds(second, 0, MIB, 6));
    assertEquals(await digests(first.folder, first.layers), before);
    await f.check(second);
    assertEquals(await f.store.find(A), second);
  });

  test("freeze() links all layers, read-only and root's, and removing the disk leaves them", async (f) => {
    const made = await disk(f);
    await Deno.chown(made.path, UID, UID);
    await f.write(made, MIB, MIB, 5);
    const folder = await f.snapshotFolder();
    const frozen = await f.store.freeze(made, folder);
    assertEquals(frozen, { folder, layers: made.layers, sizeMb: 4 });
    assertEquals(await modeAndOwner(`${folder}/${made.layers[1]}`), [0o400, 0]);
    const before = await digests(folder, frozen.layers);
    await f.store.remove(A);
    assertEquals(await digests(folder, frozen.layers), before);
    const back = await f.store.overlayOn(B, frozen);
    assert(await f.holds(back, MIB, MIB, 5) && await f.holds(back, 0, MIB, 1));
  });

  test("freeze() of what is below leaves the top layer to its writer", async (f) => {
    const first = await disk(f);
    await f.write(first, 0, 4096, 5);
    const second = await f.store.addLayer(first, UID);
    await f.putInForce(second);
    const folder = await f.snapshotFolder();
    const frozen = await f.store.freeze(second, folder, { below: true });
    assertEquals(frozen.layers, first.layers);
    assertEquals(await diskFiles(folder), [...first.layers].sort());
    assertEquals(await modeAndOwner(topOf(second)), [0o600, f.layerOwner(UID)]);
    await f.write(second, 0, 4096, 6);
    const copy = await f.store.overlayOn(B, frozen);
    assert(await f.holds(copy, 0, 4096, 5) && await f.holds(second, 0, 4096, 6));
  });

  test("overlayOn() gives each disk a layer of its own; no frozen file ever changes", async (f) => {
    const made = await disk(f);
    await f.write(made, 0, MIB, 5);
    const frozen = await f.store.freeze(made, await f.snapshotFolder());
    const before = await digests(frozen.folder, frozen.layers);
    const ids = [B, WARM, GOLD];
    const disks = await Promise.all(ids.map((id) => f.store.overlayOn(id, frozen)));
    for (const [i, each] of disks.entries()) {
      assertEquals([each.sizeMb, each.layers.length], [4, 3]);
      await f.write(each, 0, 2 * MIB, 20 + i);
    }
    for (const [i, each] of disks.entries()) {
      assert(await f.holds(each, 0, 2 * MIB, 20 + i) && await f.holds(each, 2 * MIB, 2 * MIB, 1));
      await f.check(each);
    }
    assertEquals(await digests(frozen.folder, frozen.layers), before);
    assertEquals(new Set(disks.map(({ layers }) => layers.at(-1))).size, 3);
  });

  test("overlayOn() refuses a second disk and leaves nothing where a layer is missing", async (f) => {
    const made = await disk(f);
    const frozen = await f.store.freeze(made, await f.snapshotFolder());
    const before = await f.picture();
    await assertCode("already_exists", () => f.store.overlayOn(A, frozen));
    const missing = topOf(made).replace(/^.*layer-[0-9a-f]{16}/, `layer-${"f".repeat(16)}`);
    const broken = { ...frozen, layers: [...frozen.layers, missing] };
    await assertRejects(() => f.store.overlayOn(B, broken), Deno.errors.NotFound);
    await assertRejects(() => f.store.overlayOn(B, { ...frozen, layers: [] }), Error, "base");
    assertEquals(await f.picture(), before);
  });

  test("rename() moves a disk with its content and refuses an id that has one", async (f) => {
    const made = await disk(f, WARM);
    await f.write(made, 0, 4096, 5);
    const moved = await f.store.rename(made, A);
    assertEquals(moved.layers, made.layers);
    assert(moved.folder.endsWith(`/${A}`));
    // A path in the folder moves with it; another one stays, as a VMM may have it open.
    assertEquals(moved.path, made.path.replace(made.folder, moved.folder));
    assertEquals(await f.store.find(A), moved);
    assert(await f.holds(moved, 0, 4096, 5));
    await assertCode("sandbox_not_found", () => f.store.find(WARM));
    const other = await disk(f, B);
    await assertCode("already_exists", () => f.store.rename(other, A));
    await assertCode("invalid_request", () => f.store.rename(other, "../x"));
    assertEquals([await f.store.find(A), await f.store.find(B)], [moved, other]);
  });

  test("find() gives the disk as it is, also after a restart and at the end of a long chain", async (f) => {
    await assertCode("sandbox_not_found", () => f.store.find(A));
    await assertCode("invalid_request", () => f.store.find("../x"));
    let top = await disk(f);
    for (let i = 0; i < 9; i++) {
      await f.write(top, i * 65536, 65536, 30 + i);
      top = await f.store.addLayer(top, UID);
      await f.putInForce(top);
    }
    assertEquals(await f.reopen().find(A), top);
    for (let i = 0; i < 9; i++) assert(await f.holds(top, i * 65536, 65536, 30 + i));
  });

  test("usedMb() counts what only this disk has", async (f) => {
    const made = await disk(f);
    await f.write(made, 0, 3 * MIB, 5);
    const alone = await f.store.usedMb(A);
    assert(alone >= 3 && alone < 5, String(alone));
    const folder = await f.snapshotFolder();
    const frozen = await f.store.freeze(made, folder);
    const copy = await f.store.overlayOn(B, frozen);
    assert(await f.store.usedMb(A) <= 1 && await f.store.usedMb(B) <= 1);
    await f.write(copy, 0, 2 * MIB, 6);
    const used = await f.store.usedMb(B);
    assert(used >= 2 && used < 4, String(used));
  });

  test("remove() and sweep() know disks that are nobody's, and only disks", async (f) => {
    const made = await disk(f);
    const frozen = await f.store.freeze(made, await f.snapshotFolder());
    const before = await f.picture();
    await f.store.overlayOn(WARM, frozen);
    await f.store.remove(WARM);
    await f.store.remove(WARM);
    assertEquals(await f.picture(), before);
    await f.store.overlayOn(WARM, frozen);
    await f.store.overlayOn(GOLD, frozen);
    assertEquals(await f.reopen().sweep(new Set([A, GOLD])), 1);
    await assertCode("sandbox_not_found", () => f.store.find(WARM));
    assertEquals((await f.store.find(GOLD)).layers.length, 3);
    assertEquals(await f.reopen().sweep(new Set([A])), 1);
    assertEquals(await f.picture(), before);
  });
}
