import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { DmNames } from "./dm_names.ts";
import { baseTable, frozenTable, writableTable } from "./dm_table.ts";

const MIB = 1024 * 1024;

Deno.test("baseTable() covers the disk: the image, then zeros", () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 2048 }), fc.integer({ min: 0, max: 2048 }));
  fc.assert(fc.property(sizes, ([imageMb, moreMb]) => {
    const sizeMb = imageMb + moreMb;
    const lines = baseTable("/dev/loop7", imageMb * MIB, sizeMb).split("\n");
    let at = 0;
    for (const line of lines) {
      const [start, length] = line.split(" ").map(Number);
      assert(start === at && length !== undefined && length > 0, line);
      at += length;
    }
    assertEquals(at, sizeMb * 2048);
    assertEquals(lines.length, moreMb === 0 ? 1 : 2);
  }));
  assertEquals(baseTable("/dev/loop7", 4 * MIB, 4), "0 8192 linear /dev/loop7 0");
  assertEquals(
    baseTable("/dev/loop7", 2 * MIB + 1536, 4),
    "0 4099 linear /dev/loop7 0\n4099 4093 zero",
  );
});

Deno.test("tables of layers are persistent, and only the writable one tells of an overflow", () => {
  const below = "/dev/mapper/b";
  assertEquals(frozenTable(below, "/dev/loop1", 4), "0 8192 snapshot /dev/mapper/b /dev/loop1 P 8");
  assertEquals(
    writableTable(below, "/dev/loop1", 4),
    "0 8192 snapshot /dev/mapper/b /dev/loop1 PO 8",
  );
});

Deno.test("DmNames tells its own devices from another agent's, and shared ones from disks", () => {
  const names = new DmNames("0123abcd");
  const disk = names.disk("00112233445566ff");
  const base = names.base("base-0123456789abcdef.ext4", 16);
  const layer = names.layer("layer-fedcba9876543210.cow");
  assertEquals([disk, base, layer], [
    "wrenn-0123abcd-00112233445566ff",
    "wrenn-0123abcd-base-0123456789abcdef-16",
    "wrenn-0123abcd-ro-fedcba9876543210",
  ]);
  const other = new DmNames("0123abce");
  for (const name of [disk, base, layer]) assert(names.isOurs(name) && !other.isOurs(name), name);
  assert(!names.isShared(disk) && names.isShared(base) && names.isShared(layer));
  assert(!other.isShared(base) && !names.isOurs("vg0-root"));
  for (const wrong of ["", "0123abc", "0123ABCD", "0123abcd0"]) {
    assertThrows(() => new DmNames(wrong), RangeError);
  }
  assertThrows(() => names.layer("layer-1.cow"), Error, "Not a file of a disk");
});
