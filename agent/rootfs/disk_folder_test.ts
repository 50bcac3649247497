import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { baseName, isDiskFile, newLayerName } from "./disk_files.ts";
import { readDisk, readLayer, writeLayer } from "./disk_folder.ts";
import { QCOW2_HEAD_BYTES, qcow2Overlay, readQcow2 } from "./qcow2_header.ts";

const MIB = 1024 * 1024;
const BASE = "base-0123456789abcdef.ext4";
const uid = Deno.uid() ?? 0;

const layer = (n: number): string => `layer-${n.toString(16).padStart(16, "0")}.qcow2`;

/** A folder with a base and a layer for each pair of numbers: itself and the one below, 0 for the base. */
async function folderOf(...layers: readonly (readonly [number, number])[]): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-disk-" });
  await Deno.writeTextFile(`${folder}/${BASE}`, "");
  for (const [name, below] of layers) {
    await writeLayer(folder, layer(name), below === 0 ? BASE : layer(below), { sizeMb: 8, uid });
  }
  return folder;
}

async function withFolder(
  layers: readonly (readonly [number, number])[],
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await folderOf(...layers);
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function headOf(size: number, backing: string, format: "raw" | "qcow2"): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(QCOW2_HEAD_BYTES);
  for (const { at, bytes } of qcow2Overlay(size, backing, format).parts) {
    if (at < head.length) head.set(bytes, at);
  }
  return head;
}

const sizes = fc.oneof(
  fc.constantFrom(512, 2 ** 42),
  fc.integer({ min: 1, max: 2 ** 33 - 1 }).map((n) => n * 512),
);
const names = fc.string({ minLength: 1, maxLength: 300, unit: "grapheme" });

Deno.test("readQcow2() reads what qcow2Overlay() writes", () => {
  fc.assert(fc.property(sizes, names, fc.constantFrom("raw", "qcow2"), (size, name, format) => {
    assertEquals(readQcow2(headOf(size, name, format)), { size, backing: name });
  }));
});

Deno.test("readQcow2() refuses what is cut short or is no qcow2 image", () => {
  const whole = headOf(MIB, BASE, "raw");
  const end = 112 + 16 + 8 + BASE.length;
  fc.assert(fc.property(fc.nat(end - 1), (length) => {
    assertThrows(() => readQcow2(whole.slice(0, length)), Error);
  }));
  const junk = fc.uint8Array({ maxLength: QCOW2_HEAD_BYTES }).map((bytes) => new Uint8Array(bytes));
  fc.assert(fc.property(junk, (bytes) => {
    assertThrows(() => readQcow2(bytes), Error, "Not a qcow2");
  }));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 1, max: 255 }), (at, xor) => {
      const head = whole.slice();
      head[at] = (head[at] ?? 0) ^ xor;
      assertThrows(() => readQcow2(head), Error, "Not a qcow2");
    }),
  );
});

Deno.test("readQcow2() never reads outside of what it was given, whatever the header says", () => {
  const words = fc.tuple(fc.bigInt(0n, 2n ** 64n - 1n), fc.nat(2 ** 32 - 1));
  fc.assert(fc.property(words, ([at, length]) => {
    const head = headOf(MIB, BASE, "raw");
    const view = new DataView(head.buffer);
    view.setBigUint64(8, at);
    view.setUint32(16, length);
    const inside = at === 0n || (length <= 1023 && at + BigInt(length) <= BigInt(head.length));
    if (!inside) assertThrows(() => readQcow2(head), Error, "outside of the header");
    else readQcow2(head);
  }));
});

Deno.test("names of layers never repeat, a base's name follows from its hash alone", async () => {
  const made = Array.from({ length: 200 }, (_, i) => newLayerName(i % 2 ? "cow" : "qcow2"));
  assertEquals(new Set(made).size, 200);
  for (const name of made) assert(isDiskFile(name), name);
  const [a, b] = [await baseName("sha256:x/../y"), await baseName("")];
  assert(a !== b && a === await baseName("sha256:x/../y"));
  for (const name of [a, b]) assertMatch(name, /^base-[0-9a-f]{16}\.ext4$/);
  for (
    const name of [
      "",
      "disk.qcow2",
      "base.ext4",
      "layer-1.qcow2",
      `x${BASE}`,
      `${BASE}\n`,
      `.new-${layer(1)}`,
    ]
  ) {
    assert(!isDiskFile(name), name);
  }
});

Deno.test("writeLayer() makes a file that readLayer() knows and that costs its header alone", async () => {
  await withFolder([[1, 0], [2, 1]], async (folder) => {
    assertEquals(await readLayer(`${folder}/${layer(1)}`), { size: 8 * MIB, backing: BASE });
    assertEquals(await readLayer(`${folder}/${layer(2)}`), { size: 8 * MIB, backing: layer(1) });
    const { mode, blocks } = await Deno.stat(`${folder}/${layer(1)}`);
    assertEquals((mode ?? 0) & 0o777, 0o600);
    assert((blocks ?? 0) * 512 <= 16 * 4096, "holes cost nothing");
  });
});

Deno.test("readDisk() follows the chain from the top to the base", async () => {
  await withFolder([[9, 0], [3, 9], [5, 3]], async (folder) => {
    await Deno.writeTextFile(`${folder}/.new-${layer(7)}`, "half a layer");
    assertEquals(await readDisk(folder), {
      path: `${folder}/${layer(5)}`,
      format: "qcow2",
      sizeMb: 8,
      folder,
      layers: [BASE, layer(9), layer(3), layer(5)],
    });
  });
});

Deno.test("readDisk() refuses a folder without one whole chain", async () => {
  const refuses = (
    why: string,
    layers: readonly (readonly [number, number])[],
    damage: (folder: string) => Promise<void> = async () => {},
  ): Promise<void> =>
    withFolder(layers, async (folder) => {
      await damage(folder);
      await assertRejects(() => readDisk(folder), Error, why);
    });
  const top = (n: number) => (folder: string): string => `${folder}/${layer(n)}`;
  await refuses("no single disk", []);
  await refuses("no single disk", [[1, 0], [2, 0]]);
  await refuses("no single disk", [[1, 2], [2, 1]]);
  await refuses("loop", [[1, 2], [2, 1], [3, 2]]);
  await refuses("has no layer", [[1, 0], [2, 1]], (folder) => Deno.remove(top(1)(folder)));
  await refuses("os error 2", [[1, 0]], (folder) => Deno.remove(`${folder}/${BASE}`));
  await refuses("Not a qcow2", [[1, 0], [2, 1]], (folder) => Deno.truncate(top(1)(folder), 100));
  await refuses("Not a qcow2", [[1, 0]], (folder) => Deno.truncate(top(1)(folder), 0));
  await refuses("nothing below", [], async (folder) => {
    const head = headOf(MIB, BASE, "raw");
    new DataView(head.buffer).setBigUint64(8, 0n);
    await Deno.writeFile(top(1)(folder), head);
  });
  await refuses("has no layer", [], async (folder) => {
    await Deno.writeFile(top(1)(folder), headOf(MIB, "../../images/base.ext4", "raw"));
  });
});
