import { assertEquals, assertThrows } from "@std/assert";
import { LibcError } from "./libc.ts";
import { overwrite } from "./overwrite.ts";

Deno.test("overwrite() makes, grows, shortens and keeps the file", async () => {
  const folder = await Deno.makeTempDir({ prefix: "overwrite-test-" });
  try {
    const path = `${folder}/file`;
    overwrite(path, "one\n");
    const { ino } = await Deno.stat(path);
    for (const text of ["one and more\n", "2\n", "", "größer\n"]) {
      overwrite(path, text);
      assertEquals(await Deno.readTextFile(path), text);
    }
    assertEquals((await Deno.stat(path)).ino, ino);
    assertThrows(() => overwrite(`${folder}/none/file`, "x"), LibcError, "open");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
