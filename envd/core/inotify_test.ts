import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { changeOf, Mask, parseRecords } from "./inotify.ts";

function encode(records: { watch: number; mask: number; name: string }[]): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const { watch, mask, name } of records) {
    const text = new TextEncoder().encode(name);
    const size = text.length === 0 ? 0 : Math.ceil((text.length + 1) / 16) * 16;
    const header = new DataView(new ArrayBuffer(16));
    header.setInt32(0, watch, true);
    header.setUint32(4, mask, true);
    header.setUint32(12, size, true);
    bytes.push(...new Uint8Array(header.buffer), ...text, ...new Array(size - text.length).fill(0));
  }
  return new Uint8Array(bytes);
}

Deno.test("parseRecords() reads what the kernel writes", () => {
  const record = fc.record({
    watch: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    mask: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    name: fc.string({ unit: "grapheme", maxLength: 40 }).filter((name) => !name.includes("\0")),
  }, { noNullPrototype: true });
  fc.assert(fc.property(fc.array(record), (records) => {
    assertEquals(parseRecords(encode(records)), records);
  }));
});

Deno.test("changeOf() tells one change per record", () => {
  const cases: [number, string | undefined][] = [
    [Mask.CREATE | Mask.ISDIR, "create"],
    [Mask.MOVED_TO, "create"],
    [Mask.MODIFY, "write"],
    [Mask.DELETE, "remove"],
    [Mask.DELETE_SELF, "remove"],
    [Mask.MOVED_FROM, "rename"],
    [Mask.ATTRIB, "chmod"],
    [Mask.IGNORED, undefined],
    [Mask.Q_OVERFLOW, undefined],
  ];
  for (const [mask, kind] of cases) assertEquals(changeOf(mask), kind);
});
