import { assertEquals, assertRejects } from "@std/assert";
import { exists } from "./files.ts";

Deno.test("exists() knows files, folders and broken links, and tells of what it cannot see", async () => {
  const folder = await Deno.makeTempDir({ prefix: "exists-test-" });
  try {
    await Deno.writeTextFile(`${folder}/file`, "");
    await Deno.symlink(`${folder}/nowhere`, `${folder}/link`);
    const seen = ["", "/file", "/link", "/nothing"].map((name) => exists(`${folder}${name}`));
    assertEquals(await Promise.all(seen), [true, true, true, false]);
    await assertRejects(() => exists(`${folder}/file/below`), Deno.errors.NotADirectory);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
