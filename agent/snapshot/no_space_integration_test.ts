/** a full disk is an error with a name, leaves nothing and passes. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { hasCode, runCommand } from "@wrenn/common";
import { join } from "node:path";
import { Qcow2Store } from "../rootfs/qcow2_store.ts";
import { writeChangedPages } from "./changed_pages.ts";
import { spaceError } from "./space.ts";
import { SnapshotStore } from "./store.ts";
import { ModelMemory } from "./testing/model.ts";
import { contentIn, FILES, makeSnapshot, namesIn, writeFiles } from "./testing/store_fixture.ts";

/** Never gets so far as to touch a folder. */
const DISKS = new Qcow2Store({ dataDir: "/nonexistent" });

/** A file system of its own: `size` as tmpfs takes it. */
async function withTmpfs(size: string, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-snapshots-full-" });
  await runCommand(["mount", "-t", "tmpfs", "-o", size, "wrenn-test", folder]);
  try {
    await work(folder);
  } finally {
    await runCommand(["umount", folder]);
    await Deno.remove(folder);
  }
}

/** Takes all that is left. */
async function fill(folder: string): Promise<string> {
  const path = join(folder, "filler");
  const error = await assertRejects(() => Deno.writeFile(path, new Uint8Array(8 << 20)));
  assertEquals(Reflect.get(error, "code"), "ENOSPC");
  return path;
}

async function assertNoSpace(work: () => Promise<unknown>): Promise<void> {
  const error = await assertRejects(work);
  assert(hasCode(error, "no_space"), String(error));
}

Deno.test("draft() keeps the reserve and refuses on a full disk; room again, and it goes on", async () => {
  await withTmpfs("size=4m", async (folder) => {
    const root = join(folder, "snapshots");
    const careful = new SnapshotStore({ root, reserveMb: 5 });
    await assertNoSpace(() => careful.draft());
    assertEquals(await namesIn(root), []);
    const store = new SnapshotStore({ root, reserveMb: 2 });
    const before = await makeSnapshot(store);
    const filler = await fill(folder);
    await assertNoSpace(() => store.draft());
    assertEquals(await namesIn(root), [before.id]);
    await store.verify(before);
    await Deno.remove(filler);
    await store.verify(await makeSnapshot(store));
  });
});

Deno.test("commit() on a full disk answers no_space and leaves nothing", async () => {
  await withTmpfs("size=4m", async (folder) => {
    const root = join(folder, "snapshots");
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const before = await makeSnapshot(store);
    let filler = "";
    {
      await using draft = await store.draft();
      await writeFiles(draft.dir);
      filler = await fill(folder);
      const content = await contentIn(draft.dir);
      await assertNoSpace(() => draft.commit(content));
    }
    assertEquals(await namesIn(root), [before.id]);
    assertEquals((await new SnapshotStore({ root, reserveMb: 0 }).list()).length, 1);
    // Removing works on a full disk, and what it gives back is enough.
    await Deno.remove(filler);
    filler = await fill(folder);
    await store.remove(before.id);
    assertEquals(await namesIn(root), []);
    await store.verify(await makeSnapshot(store));
  });
});

Deno.test("a diff that does not fit leaves nothing once its draft is disposed of", async () => {
  await withTmpfs("size=4m", async (folder) => {
    const root = join(folder, "snapshots");
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const pages = 4096;
    const guest = new ModelMemory(pages);
    guest.bytes.fill(9);
    const capture = async (): Promise<void> => {
      await using draft = await store.draft();
      const candidates = [{ first: 0, count: pages }];
      await writeChangedPages({ candidates, guest, below: [], folder: draft.dir });
    };
    assert(hasCode(spaceError(await assertRejects(capture)), "no_space"));
    assertEquals(await namesIn(root), []);
    await store.verify(await makeSnapshot(store));
  });
});

Deno.test("without inodes neither a draft nor a link is made, and nothing is left", async () => {
  await withTmpfs("size=4m,nr_inodes=24", async (folder) => {
    const root = join(folder, "snapshots");
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const before = await makeSnapshot(store);
    await Deno.mkdir(join(folder, "disk"));
    const fillers = join(folder, "fillers");
    await Deno.mkdir(fillers);
    await assertRejects(async () => {
      for (let i = 0; i < 100; i++) await Deno.writeTextFile(join(fillers, `${i}`), "");
    });
    await assertNoSpace(() => store.draft());
    await assertNoSpace(() => store.collapse(before, "snap-00000000000000ff", DISKS));
    // tmpfs counts a link as an inode.
    await assertNoSpace(() => store.attach(before, join(folder, "disk")));
    assertEquals(await namesIn(root), [before.id]);
    await Deno.remove(fillers, { recursive: true });
    await store.attach(before, join(folder, "disk"));
    assertEquals(await namesIn(join(folder, "disk")), [FILES.base, FILES.diff].sort());
  });
});
