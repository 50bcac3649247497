import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { type ErrorCode, newSnapshotId, WrennError } from "@wrenn/common";
import { join } from "node:path";
import { digestFile } from "./digest.ts";
import type { Snapshot } from "./manifest.ts";
import { SnapshotStore } from "./store.ts";
import {
  contentIn,
  FILES,
  filledDraft,
  makeSnapshot,
  namesIn,
  withRoot,
} from "./testing/store_fixture.ts";

async function codeOf(work: () => Promise<unknown>): Promise<ErrorCode> {
  return (await assertRejects(work, WrennError)).code;
}

Deno.test("commit() makes a snapshot of which nobody can change a file", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    assertEquals(await store.list(), []);
    const made = await makeSnapshot(store);
    const { manifest, dir } = made;
    assertEquals(dir, join(root, made.id));
    assertEquals(await namesIn(root), [made.id]);
    assertEquals(await namesIn(dir), [...Object.values(FILES), "manifest.json"].sort());
    for (const name of await namesIn(dir)) {
      if (name === FILES.image) continue;
      assertEquals(((await Deno.stat(join(dir, name))).mode ?? 0) & 0o777, 0o400, name);
    }
    assertEquals([manifest.format, manifest.id, manifest.generation], [1, made.id, 1]);
    assertEquals(manifest.memory.map(({ file }) => file), [FILES.base, FILES.diff]);
    assertEquals(manifest.disk.map(({ file, digested }) => [file, digested]), [
      [FILES.image, "head"],
      [FILES.layer, "whole"],
    ]);
    for (const file of [manifest.state, ...manifest.memory, ...manifest.disk]) {
      assertEquals(file.digest, await digestFile(join(dir, file.file)), file.file);
      assertEquals(file.bytes, (await Deno.stat(join(dir, file.file))).size);
    }
    assert(manifest.bytes >= 17_000 + 300_000, "what is new counts");
    await store.verify(made);
  });
});

Deno.test("list() and get() give what was committed, also after a restart", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const made = [await makeSnapshot(store), await makeSnapshot(store)];
    assertNotEquals(made[0]?.manifest.digest, made[1]?.manifest.digest);
    const byId = (list: readonly Snapshot[]): Snapshot[] =>
      list.toSorted((a, b) => a.id < b.id ? -1 : 1);
    for (const each of [store, new SnapshotStore({ root, reserveMb: 0 })]) {
      assertEquals(byId(await each.list()), byId(made));
      for (const one of made) {
        assertEquals(await each.get(one.id), one);
        await each.verify(await each.get(one.id));
      }
      assertEquals(await codeOf(() => each.get(newSnapshotId())), "snapshot_not_found");
    }
  });
});

Deno.test("a draft that is not committed leaves nothing and is never listed", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    {
      await using draft = await filledDraft(store);
      assertEquals(await store.list(), []);
      assertEquals(await codeOf(() => store.get(draft.id)), "snapshot_not_found");
      assertEquals(await codeOf(() => store.draft(draft.id)), "already_exists");
    }
    assertEquals(await namesIn(root), []);
    // A file that its content names is not there.
    {
      await using draft = await filledDraft(store);
      const content = await contentIn(draft.dir);
      await Deno.remove(join(draft.dir, FILES.layer));
      await assertRejects(() => draft.commit(content), Deno.errors.NotFound);
    }
    assertEquals(await namesIn(root), []);
  });
});

Deno.test("an id is used once, also after a restart", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const { id } = await makeSnapshot(store);
    for (const each of [store, new SnapshotStore({ root, reserveMb: 0 })]) {
      assertEquals(await codeOf(() => each.draft(id)), "already_exists");
    }
    assertEquals(await namesIn(root), [id]);
  });
});

Deno.test("remove() takes all of a snapshot, twice if asked, and what others share stays", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const origin = await makeSnapshot(store);
    const { dir, manifest: { memory } } = origin;
    let next: Snapshot;
    {
      await using draft = await store.draft();
      for (const name of Object.values(FILES)) await draft.link(join(dir, name));
      next = await draft.commit(await contentIn(draft.dir, memory));
    }
    assertEquals(next.manifest.memory, memory);
    assert(next.manifest.bytes < origin.manifest.bytes, "what is shared does not count");
    await store.remove(origin.id);
    await store.remove(origin.id);
    assertEquals(await codeOf(() => store.get(origin.id)), "snapshot_not_found");
    assertEquals(await namesIn(root), [next.id]);
    for (const each of [store, new SnapshotStore({ root, reserveMb: 0 })]) await each.verify(next);
    assertEquals(await codeOf(() => store.verify(origin)), "snapshot_corrupt");
  });
});

Deno.test("a snapshot that is removed is never half-listed, whoever looks meanwhile", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    for (let round = 0; round < 10; round++) {
      const { id } = await makeSnapshot(store);
      // This one has read no manifest yet.
      const fresh = new SnapshotStore({ root, reserveMb: 0 });
      let removed = false;
      const removal = fresh.remove(id).then(() => removed = true);
      while (!removed) {
        for (const found of await new SnapshotStore({ root, reserveMb: 0 }).list()) {
          assertEquals(found.id, id);
        }
        await fresh.get(id).catch((error: unknown) => {
          assert(error instanceof WrennError && error.code === "snapshot_not_found", String(error));
        });
      }
      await removal;
      assertEquals(await codeOf(() => fresh.get(id)), "snapshot_not_found");
      assertEquals(await namesIn(root), []);
      await store.remove(id);
    }
  });
});

Deno.test("a snapshot that cannot be read does not hide the others", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const [good, torn] = [await makeSnapshot(store), await makeSnapshot(store)];
    await Deno.remove(join(torn.dir, "manifest.json"));
    await Deno.mkdir(join(root, newSnapshotId()));
    await Deno.mkdir(join(root, "lost+found"));
    const fresh = new SnapshotStore({ root, reserveMb: 0 });
    assertEquals((await fresh.list()).map(({ id }) => id), [good.id]);
    // A damaged one can be removed all the same.
    await fresh.remove(torn.id);
    assert(!(await namesIn(root)).includes(torn.id));
  });
});

Deno.test("attach() links the memory's files and leaves those that are there", async () => {
  await withRoot(async (root, folder) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const made = await makeSnapshot(store);
    const disk = join(folder, "disk");
    await Deno.mkdir(disk);
    assertEquals(await store.attach(made, disk), made.manifest.memory);
    assertEquals(await store.attach(made, disk), made.manifest.memory);
    assertEquals(await namesIn(disk), [FILES.base, FILES.diff].sort());
    await store.remove(made.id);
    for (const { file, digest } of made.manifest.memory) {
      assertEquals(await digestFile(join(disk, file)), digest);
    }
  });
});

Deno.test("a snapshot that is lent can be used, is nobody's, and goes with remove() or the agent", async () => {
  await withRoot(async (root, folder) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const lend = async (): Promise<Snapshot> => {
      await using draft = await filledDraft(store);
      return await draft.lend(await contentIn(draft.dir));
    };
    const [first, second] = [await lend(), await lend()];
    const disk = join(folder, "disk");
    await Deno.mkdir(disk);
    await store.attach(first, disk);
    assertEquals(await namesIn(disk), [FILES.base, FILES.diff].sort());
    assertEquals(first.manifest.disk.map(({ file }) => file), [FILES.image, FILES.layer]);
    await Deno.stat(join(first.dir, first.manifest.state.file));
    assertEquals(await store.list(), []);
    await store.remove(first.id);
    await store.remove(first.id);
    assertEquals(await namesIn(disk), [FILES.base, FILES.diff].sort(), "what was taken stays");
    assertEquals(await namesIn(root), [`.draft-${second.id}`]);
    assertEquals(await new SnapshotStore({ root, reserveMb: 0 }).sweep(), 1);
    assertEquals(await namesIn(root), []);
  });
});

Deno.test("draft() keeps the reserve free", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 2 ** 40 });
    assertEquals(await codeOf(() => store.draft()), "no_space");
    assertEquals(await namesIn(root), []);
  });
});
