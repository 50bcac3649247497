/** a snapshot is whole or it is not there, wherever its making ends. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newSnapshotId } from "@wrenn/common";
import { fileURLToPath } from "node:url";
import { SnapshotStore } from "./store.ts";
import {
  contentIn,
  FILES,
  filledDraft,
  makeSnapshot,
  namesIn,
  withRoot,
} from "./testing/store_fixture.ts";

/** Steps of a commit in their order. Only after the last one the snapshot has its name. */
const STEPS = ["files", "synced", "manifest", "folder", "renamed"];

Deno.test("commit() goes through the steps that these tests break it at", async () => {
  await withRoot(async (root) => {
    const steps: string[] = [];
    await makeSnapshot(new SnapshotStore({ root, reserveMb: 0, hook: (step) => steps.push(step) }));
    assertEquals(steps, STEPS);
  });
});

for (const step of STEPS) {
  Deno.test(`a commit that fails at '${step}' leaves nothing; the snapshot before it stays`, async () => {
    await withRoot(async (root) => {
      const before = await makeSnapshot(new SnapshotStore({ root, reserveMb: 0 }));
      let armed = true;
      const hook = (at: string): void => {
        if (armed && at === step) throw new Error(`broken at ${at}`);
      };
      const store = new SnapshotStore({ root, reserveMb: 0, hook });
      const id = newSnapshotId();
      {
        await using draft = await filledDraft(store, id);
        const content = await contentIn(draft.dir);
        await assertRejects(() => draft.commit(content), Error, `broken at ${step}`);
        for (const each of [store, new SnapshotStore({ root, reserveMb: 0 })]) {
          assertEquals((await each.list()).map((found) => found.id), [before.id]);
        }
        // What an agent that dies here leaves is swept by the next one.
        assertEquals(await namesIn(root), [`.draft-${id}`, before.id]);
      }
      assertEquals(await namesIn(root), [before.id]);
      assertEquals(await store.sweep(), 0);
      armed = false;
      const made = await makeSnapshot(store, id);
      await store.verify(made);
      assertEquals((await store.list()).length, 2);
    });
  });
}

Deno.test("sweep() removes drafts and what is half removed, and nothing else", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const kept = await makeSnapshot(store);
    await filledDraft(store);
    await Deno.mkdir(`${root}/.gone-${newSnapshotId()}`);
    await Deno.writeTextFile(`${root}/.other`, "");
    const fresh = new SnapshotStore({ root, reserveMb: 0 });
    assertEquals((await fresh.list()).map(({ id }) => id), [kept.id]);
    assertEquals([await fresh.sweep(), await fresh.sweep()], [2, 0]);
    assertEquals(await namesIn(root), [".other", kept.id]);
    await fresh.verify(kept);
  });
});

/** Runs the program until it says that it is there, waits, and kills it as `kill -9` does. */
async function killAt(root: string, id: string, step: string, afterMs: number = 0): Promise<void> {
  const program = fileURLToPath(new URL("testing/killed_commit.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program, JSON.stringify({ root, id, step })],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const said = new TextDecoder().decode(value);
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  if (said !== "") child.kill("SIGKILL");
  await reader.cancel();
  const { signal } = await child.status;
  assertEquals([said, signal], ["reached\n", "SIGKILL"], await errors);
}

for (const step of ["draft", ...STEPS, "committed"]) {
  Deno.test(`an agent killed at '${step}' leaves a whole snapshot or none`, async () => {
    await withRoot(async (root) => {
      const before = await makeSnapshot(new SnapshotStore({ root, reserveMb: 0 }));
      const id = newSnapshotId();
      await killAt(root, id, step);
      const store = new SnapshotStore({ root, reserveMb: 0 });
      const isThere = step === "renamed" || step === "committed";
      const wanted = isThere ? [before.id, id].sort() : [before.id];
      const found = await store.list();
      assertEquals(found.map((each) => each.id).sort(), wanted);
      for (const each of found) await store.verify(each);
      assertEquals(await store.sweep(), isThere ? 0 : 1);
      assertEquals(await namesIn(root), wanted);
      if (!isThere) await store.verify(await makeSnapshot(store, id));
    });
  });
}

Deno.test("an agent killed at any moment of making and removing leaves whole snapshots alone", async () => {
  await withRoot(async (root) => {
    for (const afterMs of [5, 23, 61, 97, 150]) {
      await killAt(root, newSnapshotId(), "churn", afterMs);
      const store = new SnapshotStore({ root, reserveMb: 0 });
      const found = await store.list();
      for (const each of found) await store.verify(each);
      await store.sweep();
      assertEquals(await namesIn(root), found.map(({ id }) => id).sort());
      for (const { id } of found) {
        assertEquals((await namesIn(`${root}/${id}`)).length, Object.keys(FILES).length + 1);
        await store.remove(id);
      }
      assert((await namesIn(root)).length === 0);
    }
  });
});
