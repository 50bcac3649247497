import { assertEquals } from "@std/assert";
import { contentType, inlineDisposition } from "./content_type.ts";

Deno.test("contentType() goes by the extension", () => {
  assertEquals(["a.TXT", "b.png", "c", "d.tar.gz"].map(contentType), [
    "text/plain; charset=utf-8",
    "image/png",
    "application/octet-stream",
    "application/octet-stream",
  ]);
});

Deno.test("inlineDisposition() quotes, and encodes what a header cannot hold", () => {
  assertEquals(inlineDisposition('a "b".txt'), 'inline; filename="a \\"b\\".txt"');
  assertEquals(inlineDisposition("ü(1)\r\n"), "inline; filename*=utf-8''%C3%BC%281%29%0D%0A");
  assertEquals(inlineDisposition("\ud800"), "inline; filename*=utf-8''%EF%BF%BD");
});
