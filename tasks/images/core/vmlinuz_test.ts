import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { findKernelPayload, isElf64 } from "./vmlinuz.ts";

const LZ4 = [0x02, 0x21, 0x4c, 0x18];
const GZIP = [0x1f, 0x8b, 0x08, 0x00];

/** A bzImage of nothing but a boot header and a payload that begins with `magic`. */
function image(magic: number[], setup: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array((setup + 1) * 512 + offset + length + 100);
  const view = new DataView(bytes.buffer);
  view.setUint8(0x1f1, setup);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x020f, true);
  view.setUint32(0x248, offset, true);
  view.setUint32(0x24c, length, true);
  bytes.set(magic, (setup + 1) * 512 + offset);
  return bytes;
}

Deno.test("findKernelPayload() leaves the appended size out", () => {
  assertEquals(findKernelPayload(image(LZ4, 23, 700, 5000)), {
    compression: "lz4",
    start: 24 * 512 + 700,
    end: 24 * 512 + 700 + 5000 - 4,
  });
});

Deno.test("findKernelPayload() keeps the size that gzip itself carries", () => {
  assertEquals(findKernelPayload(image(GZIP, 23, 700, 5000)).end, 24 * 512 + 700 + 5000);
});

Deno.test("findKernelPayload() takes 0 setup sectors for 4", () => {
  const bytes = image(LZ4, 4, 100, 64);
  bytes[0x1f1] = 0;
  assertEquals(findKernelPayload(bytes).start, 5 * 512 + 100);
});

Deno.test("findKernelPayload() works on a view into a larger buffer", () => {
  const whole = new Uint8Array(20_000);
  whole.set(image(LZ4, 4, 100, 64), 333);
  assertEquals(findKernelPayload(whole.subarray(333)).start, 5 * 512 + 100);
});

Deno.test("findKernelPayload() refuses what is no kernel", () => {
  assertThrows(() => findKernelPayload(new Uint8Array(10)), TypeError, "too short");
  assertThrows(() => findKernelPayload(new Uint8Array(9000)), TypeError, "no boot header");
  assertThrows(() => findKernelPayload(image([1, 2, 3, 4], 4, 0, 64)), TypeError, "unknown");
  const torn = image(LZ4, 4, 100, 640).subarray(0, 5 * 512 + 100 + 600);
  assertThrows(() => findKernelPayload(torn), TypeError, "outside the file");
  const old = image(LZ4, 4, 0, 64);
  old[0x206] = 0x07;
  assertThrows(() => findKernelPayload(old), TypeError, "boot protocol");
});

Deno.test("findKernelPayload() never points outside the file", () => {
  fc.assert(fc.property(
    fc.nat(6),
    fc.nat(2000),
    fc.oneof(fc.nat(4000), fc.nat(0xffff_ffff)),
    fc.uint8Array({ minLength: 3000, maxLength: 4000 }),
    (setup, offset, length, noise) => {
      const view = new DataView(noise.buffer, noise.byteOffset);
      view.setUint8(0x1f1, setup);
      view.setUint32(0x202, 0x53726448, true);
      view.setUint16(0x206, 0x020f, true);
      view.setUint32(0x248, offset, true);
      view.setUint32(0x24c, length, true);
      const at = ((setup || 4) + 1) * 512 + offset;
      for (const [i, byte] of LZ4.entries()) if (at + i < noise.length) noise[at + i] = byte;
      try {
        const { start, end } = findKernelPayload(noise);
        return start < end && end <= noise.length;
      } catch (error) {
        return error instanceof TypeError;
      }
    },
  ));
});

Deno.test("isElf64() knows 64-bit little-endian ELF files", () => {
  assertEquals(isElf64(new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])), true);
  assertEquals(isElf64(new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1])), false);
  assertEquals(isElf64(new Uint8Array()), false);
});
