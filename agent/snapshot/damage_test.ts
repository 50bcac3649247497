/** whatever is damaged, nothing starts from it, and the error names the file. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { WrennError } from "@wrenn/common";
import fc from "fast-check";
import { join } from "node:path";
import type { Snapshot } from "./manifest.ts";
import { SnapshotStore } from "./store.ts";
import {
  contentIn,
  FILES,
  filledDraft,
  makeSnapshot,
  rewrite,
  withRoot,
} from "./testing/store_fixture.ts";

/** Flips bits of one byte as a failing disk or a stray program does. */
async function flip(path: string, at: number, xor: number): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes[at] = (bytes[at] ?? 0) ^ xor;
  await rewrite(path, bytes);
}

async function assertCorrupt(work: () => Promise<unknown>, file: string): Promise<void> {
  const error = await assertRejects(work, WrennError);
  assertEquals(error.code, "snapshot_corrupt");
  assertStringIncludes(error.message, `'${file}'`);
}

/** A snapshot, the store that made it and one after a restart. */
async function withSnapshot(
  work: (snapshot: Snapshot, stores: readonly SnapshotStore[]) => Promise<void>,
): Promise<void> {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const snapshot = await makeSnapshot(store);
    await store.verify(snapshot);
    await work(snapshot, [store, new SnapshotStore({ root, reserveMb: 0 })]);
  });
}

for (const file of Object.values(FILES)) {
  Deno.test(`a flipped byte in ${file} is snapshot_corrupt`, async () => {
    await withSnapshot(async (snapshot, stores) => {
      const path = join(snapshot.dir, file);
      const { size } = await Deno.stat(path);
      const places = fc.tuple(fc.nat(size - 1), fc.integer({ min: 1, max: 255 }));
      const property = fc.asyncProperty(places, async ([at, xor]) => {
        const before = await Deno.readFile(path);
        await flip(path, at, xor);
        for (const store of stores) {
          await assertCorrupt(() => store.verify(snapshot), file);
          const isDisk = file === FILES.image || file === FILES.layer;
          if (isDisk) await assertCorrupt(() => store.verifyDisk(snapshot), file);
          else await store.verifyDisk(snapshot);
        }
        await rewrite(path, before);
        for (const store of stores) await store.verify(snapshot);
      });
      await fc.assert(property, { numRuns: 8, examples: [[[0, 1]], [[size - 1, 128]]] });
    });
  });

  Deno.test(`a ${file} that is missing, shorter or longer is snapshot_corrupt`, async () => {
    await withSnapshot(async (snapshot, stores) => {
      const path = join(snapshot.dir, file);
      const whole = await Deno.readFile(path);
      for (const length of [0, whole.length - 1, whole.length + 1]) {
        const bytes = new Uint8Array(length);
        bytes.set(whole.subarray(0, length));
        await rewrite(path, bytes);
        for (const store of stores) await assertCorrupt(() => store.verify(snapshot), file);
        await rewrite(path, whole);
      }
      await Deno.remove(path);
      for (const store of stores) await assertCorrupt(() => store.verify(snapshot), file);
    });
  });
}

Deno.test("of a large image the length and the first MiB are checked", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    await using draft = await filledDraft(store);
    const image = new Uint8Array(2 << 20).fill(6);
    await Deno.writeFile(join(draft.dir, FILES.image), image);
    const snapshot = await draft.commit(await contentIn(draft.dir));
    const path = join(snapshot.dir, FILES.image);
    for (const length of [image.length - 1, image.length - 4096, 1 << 20]) {
      await rewrite(path, image.slice(0, length));
      await assertCorrupt(() => store.verify(snapshot), FILES.image);
    }
    await rewrite(path, image);
    await flip(path, (1 << 20) - 1, 1);
    await assertCorrupt(() => store.verify(snapshot), FILES.image);
    await rewrite(path, image);
    await store.verify(snapshot);
  });
});

Deno.test("a changed byte in the manifest is snapshot_corrupt, whatever it says", async () => {
  await withRoot(async (root) => {
    const snapshot = await makeSnapshot(new SnapshotStore({ root, reserveMb: 0 }));
    const path = join(snapshot.dir, "manifest.json");
    const whole = await Deno.readFile(path);
    const text = new TextDecoder().decode(whole);
    const places = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }));
    const property = fc.asyncProperty(places, async ([at, xor]) => {
      await flip(path, at, xor);
      const fresh = new SnapshotStore({ root, reserveMb: 0 });
      // White space between the fields means nothing.
      const same = JSON.stringify(tryParse(await Deno.readTextFile(path))) ===
        JSON.stringify(JSON.parse(text));
      if (same) assertEquals(await fresh.get(snapshot.id), snapshot);
      else {
        await assertCorrupt(() => fresh.get(snapshot.id), "manifest.json");
        assertEquals(await fresh.list(), []);
      }
      await rewrite(path, whole);
    });
    const digitOf = (field: string): [[number, number]] => [[
      text.indexOf(`"${field}": `) + field.length + 4,
      1,
    ]];
    const examples = ["format", "generation", "vcpus", "memory_mb", "disk_mb"].map(digitOf);
    await fc.assert(property, { numRuns: 150, examples });
    for (const junk of ["", "{}", "null", "[]", text.slice(0, -3), text + text]) {
      await rewrite(path, new TextEncoder().encode(junk));
      const fresh = new SnapshotStore({ root, reserveMb: 0 });
      await assertCorrupt(() => fresh.get(snapshot.id), "manifest.json");
    }
  });
});

Deno.test("a manifest is another snapshot's where it lies under another name", async () => {
  await withRoot(async (root) => {
    const snapshot = await makeSnapshot(new SnapshotStore({ root, reserveMb: 0 }));
    await Deno.rename(snapshot.dir, join(root, "snap-00000000000000ee"));
    const fresh = new SnapshotStore({ root, reserveMb: 0 });
    await assertCorrupt(() => fresh.get("snap-00000000000000ee"), "manifest.json");
  });
});

Deno.test("a snapshot over a damaged shared file does not make the damage good", async () => {
  for (const file of [FILES.base, FILES.diff]) {
    await withSnapshot(async (origin, [store]) => {
      assert(store);
      await flip(join(origin.dir, file), 5000, 1);
      await using draft = await store.draft();
      for (const name of Object.values(FILES)) await draft.link(join(origin.dir, name));
      const next = await draft.commit(await contentIn(draft.dir, origin.manifest.memory));
      await assertCorrupt(() => store.verify(next), file);
      await assertCorrupt(() => store.verify(origin), file);
    });
  }
});

Deno.test("a hard link elsewhere that is written to damages the snapshot, and that is seen", async () => {
  await withSnapshot(async (snapshot, stores) => {
    const other = join(snapshot.dir, "..", "..", "elsewhere");
    await Deno.link(join(snapshot.dir, FILES.base), other);
    await flip(other, 0, 1);
    for (const store of stores) await assertCorrupt(() => store.verify(snapshot), FILES.base);
  });
});

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
