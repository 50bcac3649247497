import { hasCode, runCommand } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { qcow2Overlay } from "./qcow2_header.ts";
import { Qcow2Store } from "./qcow2_store.ts";
import type { Base, BlockDevice } from "./store.ts";
import { layersContract } from "./layers_contract.ts";
import { digests, installTemplate, listing } from "./testing/template_files.ts";
import { storeContract, type StoreFixture } from "./store_contract.ts";

const MIB = 1024 * 1024;
const ID = "sb-00000001";
const OTHER = "sb-00000002";

async function qemuIo(
  disk: Pick<BlockDevice, "path" | "format">,
  command: string,
): Promise<string> {
  const { stdout } = await runCommand(["qemu-io", "-f", disk.format, "-c", command, disk.path]);
  return stdout;
}

async function open(): Promise<StoreFixture> {
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-rootfs-" });
  const reopen = () => new Qcow2Store({ dataDir });
  const store = reopen();
  await Deno.mkdir(`${dataDir}/sandboxes`, { mode: 0o711 });
  return {
    store,
    reopen,
    addTemplate: (name, sizeMb, fill) => installTemplate(dataDir, { name, sizeMb, fill }),
    baseBytes: (name) => Deno.readFile(`${dataDir}/images/${name}.ext4`),
    write: async (disk, offset, length, fill) => {
      await qemuIo(disk, `write -P ${fill} ${offset} ${length}`);
    },
    holds: async (disk, offset, length, fill) =>
      !(await qemuIo(disk, `read -P ${fill} ${offset} ${length}`)).includes("failed"),
    putInForce: () => Promise.resolve(),
    layerOwner: (uid) => uid,
    check: async (disk) => void await runCommand(["qemu-img", "check", "-q", disk.path]),
    snapshotFolder: () => Deno.makeTempDir({ dir: dataDir, prefix: "snap-" }),
    picture: () => listing(dataDir),
    [Symbol.asyncDispose]: () => Deno.remove(dataDir, { recursive: true }),
  };
}

storeContract("Qcow2Store", open);
layersContract("Qcow2Store", open);

Deno.test("qcow2Overlay() is what qemu-img takes for an empty overlay, for any size", async () => {
  const dir = await Deno.makeTempDir({ prefix: "wrenn-qcow2-" });
  try {
    const sizes = fc.oneof(
      fc.constantFrom(512, MIB, 512 * MIB, 512 * MIB + 512, 2 ** 42),
      fc.integer({ min: 1, max: 2 ** 33 }).map((sectors) => sectors * 512),
    );
    await Deno.writeFile(`${dir}/base.ext4`, new Uint8Array(MIB).fill(3));
    const property = fc.asyncProperty(sizes, async (size) => {
      const path = `${dir}/disk.qcow2`;
      const { length, parts } = qcow2Overlay(size, "base.ext4");
      const bytes = new Uint8Array(length);
      for (const part of parts) bytes.set(part.bytes, part.at);
      await Deno.writeFile(path, bytes);
      await runCommand(["qemu-img", "check", "-q", path]);
      const { stdout } = await runCommand(["qemu-img", "info", "--output=json", path]);
      const info = JSON.parse(stdout);
      assertEquals(info["virtual-size"], size);
      assertEquals(
        [info.format, info["backing-filename"], info["backing-filename-format"]],
        ["qcow2", "base.ext4", "raw"],
      );
      const disk = { path, format: "qcow2" } as const;
      const first = Math.min(size, MIB);
      assert(!(await qemuIo(disk, `read -P 3 0 ${first}`)).includes("failed"));
      await qemuIo(disk, `write -P 4 ${size - 512} 512`);
      assert(!(await qemuIo(disk, `read -P 4 ${size - 512} 512`)).includes("failed"));
      await runCommand(["qemu-img", "check", "-q", path]);
    });
    await fc.assert(property, { numRuns: 12 });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("Qcow2Store lets a VM's user pass through its folder and no one read its files", async () => {
  await using f = await open();
  await f.addTemplate("base", 2, 1);
  const disk = await f.store.overlay(ID, await f.store.acquireBase("base"), 0);
  assertEquals(disk.path, `${disk.folder}/${disk.layers[1]}`);
  assertEquals(((await Deno.stat(disk.folder)).mode ?? 0) & 0o777, 0o711);
  assertEquals(((await Deno.stat(disk.path)).mode ?? 0) & 0o777, 0o600);
  assertEquals((await Deno.stat(`${disk.folder}/${disk.layers[0]}`)).nlink, 2);
});

Deno.test("Qcow2Store puts a disk into the folder of a VMM that runs, whose group reads the layers below", async () => {
  await using f = await open();
  const { store } = f;
  assert(store instanceof Qcow2Store);
  await f.addTemplate("base", 2, 1);
  const made = await store.overlay(ID, await store.acquireBase("base"), 0);
  await f.write(made, 0, 4096, 5);
  const frozen = await store.freeze(made, await f.snapshotFolder());
  const [spare, copy] = ["spare-0123456789abcdef", OTHER];
  const empty = await store.reserve(spare, made.sizeMb);
  assertEquals([empty.layers, (await Array.fromAsync(Deno.readDir(empty.folder))).length], [[], 0]);
  const inode = (await Deno.stat(empty.folder)).ino;
  const root = { disk: empty, uid: 300_007, gid: 300_000 };
  const disk = await store.overlayOn(copy, frozen, root);
  assertEquals((await Deno.stat(disk.folder)).ino, inode, "the process's root");
  assert(await f.holds(disk, 0, 4096, 5));
  const below = await Deno.stat(`${disk.folder}/${disk.layers[1]}`);
  assertEquals([below.uid, below.gid, (below.mode ?? 0) & 0o777], [0, 300_000, 0o440]);
  const top = await Deno.stat(disk.path);
  assertEquals([top.uid, (top.mode ?? 0) & 0o777], [300_007, 0o600]);

  const other = await store.reserve(spare, made.sizeMb);
  const broken = { ...frozen, layers: [...frozen.layers, "layer-ffffffffffffffff.qcow2"] };
  const into = { ...root, disk: other };
  await assertRejects(() => store.overlayOn("sb-00000003", broken, into), Deno.errors.NotFound);
  await store.reserve(spare, made.sizeMb);
  assertEquals(await store.sweep(new Set([ID])), 2, "the copy and what was reserved");
});

Deno.test("Qcow2Store's chains stay whole for qemu-img in whatever folder they are linked into", async () => {
  await using f = await open();
  await f.addTemplate("base", 4, 1);
  let top = await f.store.overlay(ID, await f.store.acquireBase("base"), 16);
  for (let i = 0; i < 3; i++) {
    await f.write(top, i * MIB, 2 * MIB, 40 + i);
    top = await f.store.addLayer(top, 0);
  }
  await f.write(top, 12 * MIB, MIB, 50);
  assertEquals(await backingChain(top.path), [...top.layers].reverse());
  const flat = `${await f.snapshotFolder()}/flat.raw`;
  await runCommand(["qemu-img", "convert", "-O", "raw", top.path, flat]);

  const frozen = await f.store.freeze(top, await f.snapshotFolder());
  await f.store.remove(ID);
  await f.addTemplate("base", 4, 9);
  const linked = `${frozen.folder}/${frozen.layers.at(-1)}`;
  assertEquals(await backingChain(linked), [...frozen.layers].reverse());
  await runCommand(["qemu-img", "compare", "-q", "-U", linked, flat]);

  const clone = await f.store.overlayOn("warm-0000000000000001", frozen);
  await Deno.remove(frozen.folder, { recursive: true });
  const found = await f.store.find("warm-0000000000000001");
  assertEquals(found, clone);
  assertEquals(await backingChain(clone.path), [...clone.layers].reverse());
  for (const layer of clone.layers.slice(1)) {
    await runCommand(["qemu-img", "check", "-q", `${clone.folder}/${layer}`]);
  }
  await runCommand(["qemu-img", "compare", "-q", "-U", clone.path, flat]);
});

Deno.test("no file of a template changes while 100 clones write all over their disks", async () => {
  await using f = await open();
  await f.addTemplate("base", 4, 1);
  const made = await f.store.overlay(ID, await f.store.acquireBase("base"), 0);
  await f.write(made, MIB, MIB, 2);
  const frozen = await f.store.freeze(made, await f.snapshotFolder());
  await f.store.remove(ID);
  const before = await digests(frozen.folder, frozen.layers);
  for (let i = 0; i < 100; i++) {
    const clone = await f.store.overlayOn(`warm-${i.toString(16).padStart(16, "0")}`, frozen);
    await f.write(clone, 0, 4 * MIB, 3 + i);
    if (i % 2 === 0) await f.store.remove(`warm-${i.toString(16).padStart(16, "0")}`);
  }
  assertEquals(await digests(frozen.folder, frozen.layers), before);
  assertEquals(await f.store.sweep(new Set()), 50);
  assertEquals(await digests(frozen.folder, frozen.layers), before);
  assert((await f.baseBytes("base")).every((byte) => byte === 1));
});

Deno.test("Qcow2Store answers no_space and leaves nothing when the disk is full or nearly so", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-rootfs-full-" });
  await runCommand(["mount", "-t", "tmpfs", "-o", "size=1100k", "wrenn-test", dataDir]);
  try {
    await installTemplate(dataDir, { name: "base", sizeMb: 1, fill: 1 });
    const reckless = new Qcow2Store({ dataDir, reserveMb: 0 });
    const base = await reckless.acquireBase("base");
    const disk = await reckless.overlay(ID, base, 0);
    await Deno.mkdir(`${dataDir}/snap`);
    const frozen = await reckless.freeze(disk, `${dataDir}/snap`);

    const careful = new Qcow2Store({ dataDir, reserveMb: 1 });
    const held = await careful.acquireBase("base");
    const before = await listing(dataDir);
    const refuses = async (store: Qcow2Store, from: Base): Promise<void> => {
      for (
        const attempt of [
          () => store.overlay(OTHER, from, 0),
          () => store.overlayOn(OTHER, frozen),
          () => store.addLayer(disk, 0),
        ]
      ) {
        const error = await assertRejects(attempt);
        assert(hasCode(error, "no_space"), `${attempt}: ${error}`);
      }
    };
    await refuses(careful, held);
    assertEquals(await listing(dataDir), before);

    const filler = Deno.writeFile(`${dataDir}/filler`, new Uint8Array(MIB));
    assertEquals(Reflect.get(await assertRejects(() => filler), "code"), "ENOSPC");
    await refuses(reckless, base);
    assertEquals(await reckless.find(ID), disk);
    await Deno.remove(`${dataDir}/filler`);
    assertEquals(await listing(dataDir), before);
    await reckless.overlayOn(OTHER, frozen);
    assertEquals((await reckless.addLayer(disk, 0)).layers.length, 3);
  } finally {
    await runCommand(["umount", dataDir]);
    await Deno.remove(dataDir);
  }
});

Deno.test("Qcow2Store leaves nothing where the images are on another file system", async () => {
  await using f = await open();
  await f.addTemplate("base", 2, 6);
  const [first] = await f.store.templates();
  assert(first);
  const images = first.path.slice(0, first.path.lastIndexOf("/"));
  await runCommand(["mount", "-t", "tmpfs", "-o", "size=8m", "wrenn-test", images]);
  try {
    await f.addTemplate("other", 2, 6);
    const base = await f.store.acquireBase("other");
    const before = await f.picture();
    await assertRejects(() => f.store.overlay(ID, base, 0), Error, "on one file system");
    assertEquals(await f.picture(), before);
  } finally {
    await runCommand(["umount", images]);
  }
});

/** Names of a chain's files as `qemu-img` follows it, the top first. */
async function backingChain(path: string): Promise<string[]> {
  const command = ["qemu-img", "info", "-U", "--backing-chain", "--output=json", path] as const;
  const infos: { filename: string }[] = JSON.parse((await runCommand(command)).stdout);
  return infos.map(({ filename }) => filename.slice(filename.lastIndexOf("/") + 1));
}
