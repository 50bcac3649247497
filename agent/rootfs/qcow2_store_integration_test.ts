import { hasCode, runCommand } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { qcow2Overlay } from "./qcow2_header.ts";
import { Qcow2Store } from "./qcow2_store.ts";
import type { BlockDevice } from "./store.ts";
import { storeContract, type StoreFixture } from "./store_contract.ts";

const MIB = 1024 * 1024;

async function install(dataDir: string, name: string, sizeMb: number, fill: number): Promise<void> {
  const images = `${dataDir}/images`;
  await Deno.mkdir(images, { recursive: true });
  await Deno.writeFile(`${images}/.new`, new Uint8Array(sizeMb * MIB).fill(fill));
  await Deno.rename(`${images}/.new`, `${images}/${name}.ext4`);
  const manifest = {
    name,
    disk_mb: sizeMb,
    hash: "0".repeat(64),
    created_at: "2026-01-02T03:04:05Z",
  };
  await Deno.writeTextFile(`${images}/${name}.json`, JSON.stringify(manifest));
}

async function listing(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    const { size, mode } = await Deno.lstat(path);
    if (entry.isDirectory) found.push(`${path} ${mode}`, ...await listing(path));
    else found.push(`${path} ${mode} ${size}`);
  }
  return found.sort();
}

async function qemuIo(disk: BlockDevice, command: string): Promise<string> {
  const { stdout } = await runCommand(["qemu-io", "-f", disk.format, "-c", command, disk.path]);
  return stdout;
}

async function open(): Promise<StoreFixture> {
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-rootfs-" });
  const reopen = () => new Qcow2Store({ dataDir });
  const store = reopen();
  await Deno.mkdir(`${dataDir}/sandboxes`, { mode: 0o700 });
  return {
    store,
    reopen,
    addTemplate: (name, sizeMb, fill) => install(dataDir, name, sizeMb, fill),
    baseBytes: (name) => Deno.readFile(`${dataDir}/images/${name}.ext4`),
    write: async (disk, offset, length, fill) => {
      await qemuIo(disk, `write -P ${fill} ${offset} ${length}`);
    },
    holds: async (disk, offset, length, fill) =>
      !(await qemuIo(disk, `read -P ${fill} ${offset} ${length}`)).includes("failed"),
    check: async (disk) => void await runCommand(["qemu-img", "check", "-q", disk.path]),
    picture: () => listing(dataDir),
    [Symbol.asyncDispose]: () => Deno.remove(dataDir, { recursive: true }),
  };
}

storeContract("Qcow2Store", open);

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
      const disk: BlockDevice = { path, format: "qcow2", sizeMb: 0 };
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

Deno.test("Qcow2Store keeps a sandbox's folder to root and its files beside a link to the base", async () => {
  await using f = await open();
  await f.addTemplate("base", 2, 1);
  const disk = await f.store.overlay("sb-00000001", await f.store.acquireBase("base"), 0);
  const folder = disk.path.slice(0, disk.path.lastIndexOf("/"));
  assertEquals(((await Deno.stat(folder)).mode ?? 0) & 0o777, 0o700);
  assertEquals(((await Deno.stat(disk.path)).mode ?? 0) & 0o777, 0o600);
  assertEquals((await Deno.stat(`${folder}/base.ext4`)).nlink, 2);
});

Deno.test("Qcow2Store answers no_space and leaves nothing when the disk is full or nearly so", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-rootfs-full-" });
  await runCommand(["mount", "-t", "tmpfs", "-o", "size=1100k", "wrenn-test", dataDir]);
  try {
    await install(dataDir, "base", 1, 1);
    const careful = new Qcow2Store({ dataDir, reserveMb: 1 });
    const id = "sb-00000001";
    const base = await careful.acquireBase("base");
    const refused = await assertRejects(() => careful.overlay(id, base, 0));
    assert(hasCode(refused, "no_space"));

    const before = await listing(dataDir);
    const reckless = new Qcow2Store({ dataDir, reserveMb: 0 });
    const held = await reckless.acquireBase("base");
    const filler = Deno.writeFile(`${dataDir}/filler`, new Uint8Array(MIB));
    assertEquals(Reflect.get(await assertRejects(() => filler), "code"), "ENOSPC");
    const full = await assertRejects(() => reckless.overlay(id, held, 0));
    assert(hasCode(full, "no_space"), String(full));
    await Deno.remove(`${dataDir}/filler`);
    assertEquals(await listing(dataDir), before);
    await reckless.overlay(id, held, 0);
  } finally {
    await runCommand(["umount", dataDir]);
    await Deno.remove(dataDir);
  }
});

Deno.test("Qcow2Store names the image itself where images are on another file system", async () => {
  await using f = await open();
  await f.addTemplate("base", 2, 6);
  const [first] = await f.store.templates();
  assert(first);
  const images = first.path.slice(0, first.path.lastIndexOf("/"));
  await runCommand(["mount", "-t", "tmpfs", "-o", "size=8m", "wrenn-test", images]);
  try {
    await f.addTemplate("other", 2, 6);
    const disk = await f.store.overlay("sb-00000002", await f.store.acquireBase("other"), 0);
    assert(await f.holds(disk, 0, 2 * MIB, 6));
  } finally {
    await runCommand(["umount", images]);
  }
});
