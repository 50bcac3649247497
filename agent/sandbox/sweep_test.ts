import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConfigError, isHostId } from "@wrenn/common";
import { loadHostId, lockDataDir, sweep } from "./sweep.ts";

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "sweep-test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("sweep() ends machines first, then networks, disks and run folders", async () => {
  await withFolder(async (runDir) => {
    const order: string[] = [];
    const step = (name: string, answer: number): () => Promise<number> => () => {
      order.push(name);
      return Promise.resolve(answer);
    };
    for (const name of ["sb-00000001", "sb-0000beef", "other", "sb-1"]) {
      await Deno.mkdir(`${runDir}/${name}/deep`, { recursive: true });
    }
    await Deno.writeTextFile(`${runDir}/sb-00000002`, "a file");
    const parts = {
      runDir,
      vmm: { sweep: step("machines", 2) },
      slots: { start: async () => void await step("slots", 0)() },
      rootfs: { sweep: step("disks", 3) },
    };
    assertEquals(await sweep(parts), { machines: 2, disks: 3, runFolders: 2 });
    assertEquals(order, ["machines", "slots", "disks"]);
    const left = await Array.fromAsync(Deno.readDir(runDir), (entry) => entry.name);
    assertEquals(left.sort(), ["other", "sb-00000002", "sb-1"]);
    assertEquals((await sweep(parts)).runFolders, 0);
  });
});

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
