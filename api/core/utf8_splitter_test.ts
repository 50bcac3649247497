import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type TextPiece, toTextPiece, Utf8Splitter } from "./utf8_splitter.ts";

function bytesOf(pieces: (TextPiece | undefined)[]): Uint8Array {
  const parts = pieces.filter((p) => p !== undefined).map((p) =>
    p.encoding === "base64" ? Uint8Array.fromBase64(p.data) : new TextEncoder().encode(p.data)
  );
  return new Uint8Array(parts.flatMap((p) => [...p]));
}

function split(bytes: Uint8Array, cuts: number[]): (TextPiece | undefined)[] {
  const splitter = new Utf8Splitter();
  const at = [0, ...cuts.map((c) => c % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const pieces = at.slice(1).map((end, i) => splitter.push(bytes.slice(at[i], end)));
  return [...pieces, splitter.end()];
}

Deno.test("Utf8Splitter keeps text as text wherever it is cut", () => {
  const text = fc.string({ unit: "binary" }).filter((s) => s.isWellFormed());
  fc.assert(fc.property(text, fc.array(fc.nat()), (s, cuts) => {
    const pieces = split(new TextEncoder().encode(s), cuts);
    assert(pieces.every((p) => p === undefined || p.encoding === "utf-8"));
    assertEquals(pieces.map((p) => p?.data ?? "").join(""), s);
  }));
});

Deno.test("Utf8Splitter loses no byte of any stream", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(fc.nat()), (bytes, cuts) => {
    assertEquals(bytesOf(split(bytes, cuts)), new Uint8Array(bytes));
  }));
});

Deno.test("Utf8Splitter keeps a byte order mark", () => {
  assertEquals(toTextPiece(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])).data, "\ufeffa");
});
