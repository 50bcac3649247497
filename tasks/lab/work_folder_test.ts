import { assertEquals } from "@std/assert";
import { WorkFolder } from "./work_folder.ts";

async function names(root: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(root), ({ name }) => name)).sort();
}

Deno.test("WorkFolder.open() removes what a killed lab left, and nothing of a live one", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/other`);
    {
      await using live = await WorkFolder.open(root);
      const dead = `${root}/wrenn-lab-dead`;
      await Deno.mkdir(dead);
      await Deno.writeTextFile(`${dead}/order.tar`, "x");
      await using next = await WorkFolder.open(root);
      const expected = ["other", ...[live.path, next.path].map((p) => p.slice(root.length + 1))];
      assertEquals(await names(root), expected.sort());
    }
    assertEquals(await names(root), ["other"]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
