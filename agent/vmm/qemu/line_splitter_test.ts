import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { LineSplitter, LineTooLongError } from "./line_splitter.ts";

const encoder = new TextEncoder();

Deno.test("LineSplitter gives the same lines however the bytes are cut", () => {
  const line = fc.string({ unit: "binary" }).map((text) => text.replace(/[\r\n]/g, ""));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(20)), fc.boolean(), (lines, cuts, crlf) => {
      const end = crlf ? "\r\n" : "\n";
      const bytes = encoder.encode(lines.map((text) => text + end).join(""));
      const splitter = new LineSplitter(bytes.length + 1);
      const got: string[] = [];
      const chunk = new Uint8Array(20);
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const piece = bytes.subarray(at, at + 1 + (cuts[i % Math.max(1, cuts.length)] ?? 0) % 20);
        chunk.set(piece);
        got.push(...splitter.push(chunk.subarray(0, piece.length)));
        at += piece.length;
      }
      // TextDecoder drops a byte order mark at the start of a text.
      const expected = lines.map((text) => new TextDecoder().decode(encoder.encode(text)));
      assertEquals(got, expected);
    }),
  );
});

Deno.test("LineSplitter keeps an unfinished line back", () => {
  const splitter = new LineSplitter(100);
  assertEquals(splitter.push(encoder.encode('{"a":')), []);
  assertEquals(splitter.push(encoder.encode("1}\n\n{")), ['{"a":1}', ""]);
});

Deno.test("LineSplitter refuses a line over the limit before and at its end", () => {
  assertEquals(new LineSplitter(3).push(encoder.encode("abc\n")), ["abc"]);
  assertThrows(() => new LineSplitter(3).push(encoder.encode("abcd\n")), LineTooLongError);
  const splitter = new LineSplitter(3);
  splitter.push(encoder.encode("ab"));
  assertThrows(() => splitter.push(encoder.encode("cd")), LineTooLongError);
});
