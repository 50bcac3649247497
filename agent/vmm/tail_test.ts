import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { fileTail, lastLines } from "./tail.ts";

Deno.test("lastLines() keeps the last lines that say something", () => {
  assertEquals(lastLines("a\r\n\r\nb\n  \nc  \n", 2), "b\nc");
  assertEquals(lastLines("", 5), "");
});

Deno.test("lastLines() takes out terminal sequences and control characters", () => {
  assertEquals(lastLines("\x1b[31mred\x1b[0m\x07 / # \x1b[6n\n", 3), "red / #");
});

Deno.test("lastLines() is short and printable whatever the guest wrote", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 30_000 }), (text) => {
    const tail = lastLines(text, 20);
    assert(tail.length <= 4000);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(tail));
  }));
});

Deno.test("fileTail() reads only the end of a long file and takes a missing one as empty", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, `${"x".repeat(1 << 20)}\nlast words\n`);
    assertEquals(await fileTail(path, 1), "last words");
  } finally {
    await Deno.remove(path);
  }
  assertEquals(await fileTail(path, 1), "");
});
