import { assert, assertEquals, assertThrows } from "@std/assert";
import { hasCode } from "@wrenn/common";
import fc from "fast-check";
import { decodeCursor, encodeCursor } from "./cursor.ts";

const position = fc.record({
  createdAtUs: fc.bigInt({ min: 0n, max: 99_999_999_999_999_999n }),
  id: fc.stringMatching(/^(sb-[0-9a-f]{8}|snap-[0-9a-f]{16})$/),
}, { noNullPrototype: true });

Deno.test("decodeCursor() gives back what encodeCursor() took, in letters that a URL may hold", () => {
  fc.assert(fc.property(position, (at) => {
    const text = encodeCursor(at);
    assert(/^[\w-]+$/.test(text), text);
    assertEquals(decodeCursor(text), at);
  }));
});

Deno.test("decodeCursor() refuses every text that no list gave out", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => {
    const error = assertThrows(() => decodeCursor(text));
    assert(hasCode(error, "invalid_request"), String(error));
  }));
});
