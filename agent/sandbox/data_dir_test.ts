import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConfigError, isHostId } from "@wrenn/common";
import { loadHostId, lockDataDir } from "./data_dir.ts";

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "data-dir-test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("lockDataDir() lets one agent in at a time", async () => {
  await withFolder(async (folder) => {
    const first = await lockDataDir(folder);
    const error = await assertRejects(() => lockDataDir(folder), ConfigError);
    assert(error.message.includes("WRENN_DATA_DIR"), error.message);
    first[Symbol.dispose]();
    (await lockDataDir(folder))[Symbol.dispose]();
  });
});

Deno.test("loadHostId() makes an id once and refuses a damaged one", async () => {
  await withFolder(async (folder) => {
    const id = await loadHostId(folder);
    assert(isHostId(id));
    assertEquals(await loadHostId(folder), id);
    await Deno.writeTextFile(`${folder}/host-id`, "nonsense");
    await assertRejects(() => loadHostId(folder), ConfigError, "host-id");
  });
});
