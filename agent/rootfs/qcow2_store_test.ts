import { hasCode } from "@wrenn/common";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { isTemplateName } from "./manifest.ts";
import { qcow2Overlay } from "./qcow2_header.ts";
import { Qcow2Store } from "./qcow2_store.ts";

const GOOD = { name: "base", disk_mb: 1, hash: "ab", created_at: "2026-01-02T03:04:05.678Z" };

Deno.test("acquireBase() refuses a damaged manifest or image, templates() leaves it out", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-manifest-" });
  try {
    const images = `${dataDir}/images`;
    await Deno.mkdir(images);
    const store = new Qcow2Store({ dataDir });
    const set = async (manifest: string, bytes: number): Promise<void> => {
      await Deno.writeTextFile(`${images}/base.json`, manifest);
      await Deno.writeFile(`${images}/base.ext4`, new Uint8Array(bytes));
    };
    const MIB = 1024 * 1024;
    const wrong: [string, number][] = [
      ["", MIB],
      ["{", MIB],
      ["[]", MIB],
      [JSON.stringify({ ...GOOD, name: "other" }), MIB],
      [JSON.stringify({ ...GOOD, disk_mb: 0 }), MIB],
      [JSON.stringify({ ...GOOD, disk_mb: "1" }), MIB],
      [JSON.stringify({ ...GOOD, hash: undefined }), MIB],
      [JSON.stringify({ ...GOOD, created_at: "yesterday" }), MIB],
      [JSON.stringify(GOOD), MIB + 1],
    ];
    for (const [manifest, bytes] of wrong) {
      await set(manifest, bytes);
      const error = await assertRejects(() => store.acquireBase("base"));
      assert(hasCode(error, "template_not_found"), manifest);
      assertEquals([await store.templates(), store.references("base")], [[], 0], manifest);
    }
    await set(JSON.stringify(GOOD), MIB);
    await Deno.writeTextFile(`${images}/Wrong_Name.json`, JSON.stringify(GOOD));
    const path = `${images}/base.ext4`;
    assertEquals(await store.templates(), [{ template: "base", path, sizeMb: 1, hash: "ab" }]);
    await Deno.remove(path);
    assertEquals(await store.templates(), []);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});

Deno.test("isTemplateName() takes lower-case letters, digits and dashes, at most 63", () => {
  for (const name of ["a", "base", "my-template-2", "0", "a".repeat(63)]) {
    assert(isTemplateName(name), name);
  }
  for (const name of ["", "-a", "A", "a_b", "a.b", "a/b", "a\n", "é", "a".repeat(64)]) {
    assert(!isTemplateName(name), name);
  }
});

Deno.test("qcow2Overlay() throws for sizes and paths that the format cannot hold", () => {
  for (const size of [0, -512, 513, 2 ** 42 + 512, NaN]) {
    assertThrows(() => qcow2Overlay(size, "base"), RangeError, "Wrong size");
  }
  for (const path of ["", "x".repeat(1024)]) {
    assertThrows(() => qcow2Overlay(512, path), RangeError, "Path of a base");
  }
});
