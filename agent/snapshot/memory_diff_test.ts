import { assert, assertEquals, assertRejects } from "@std/assert";
import { WrennError } from "@wrenn/common";
import fc from "fast-check";
import { PAGE_BYTES } from "../core/memory_pages.ts";
import { digestFile } from "./digest.ts";
import { MemoryDiff, MemoryDiffWriter, type WrittenDiff } from "./memory_diff.ts";
import { type ModelDiff, modelDiff, pageOf } from "./testing/model.ts";

async function withFile(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-diff-" });
  try {
    await work(`${folder}/memory-1.diff`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes pages one by one, so that the writer joins neighbours itself. */
async function write(path: string, diff: ModelDiff): Promise<WrittenDiff> {
  await Deno.remove(path).catch(() => {});
  using writer = await MemoryDiffWriter.create(path);
  for (const [page, fill] of diff) await writer.write(page, pageOf(fill));
  return await writer.finish();
}

Deno.test("a diff reads as it was written, and its digest is the file's", async () => {
  await withFile(async (path) => {
    const property = fc.asyncProperty(modelDiff(400), async (diff) => {
      const written = await write(path, diff);
      assertEquals(written.pages, diff.size);
      assertEquals(written.bytes, (await Deno.stat(path)).size);
      assertEquals(written.digest, await digestFile(path));
      using open = await MemoryDiff.open(path);
      const found = new Map<number, number>();
      let at = 0;
      for (const { first, count } of open.runs) {
        const bytes = new Uint8Array(count * PAGE_BYTES);
        await open.read(at, bytes);
        for (let i = 0; i < count; i++) {
          const page = bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
          assertEquals(page, pageOf(page[0] ?? 0));
          found.set(first + i, page[0] ?? 0);
        }
        at += count;
      }
      assertEquals([...found], [...diff]);
      // Neighbours are one run.
      open.runs.slice(1).forEach(({ first }, i) => {
        const before = open.runs[i];
        assert(before && before.first + before.count < first);
      });
    });
    await fc.assert(property, { numRuns: 60 });
  });
});

Deno.test("a diff that is cut short or longer than it was is corrupt", async () => {
  await withFile(async (path) => {
    await write(path, new Map([[0, 1], [1, 2], [7, 3]]));
    const whole = await Deno.readFile(path);
    const property = fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
      await Deno.writeFile(path, whole.subarray(0, length));
      await assertCorrupt(path);
    });
    await fc.assert(property, { examples: [[0], [23], [24], [whole.length - 1]] });
    for (const more of [1, 8, 24, PAGE_BYTES]) {
      await Deno.writeFile(path, whole);
      await Deno.truncate(path, whole.length + more);
      await assertCorrupt(path);
    }
  });
});

Deno.test("any changed byte changes the digest, and opens as a diff or is corrupt", async () => {
  await withFile(async (path) => {
    const { digest, pages } = await write(path, new Map([[0, 1], [1, 2], [7, 3], [9, 4]]));
    const whole = await Deno.readFile(path);
    const changes = fc.tuple(
      fc.oneof(
        fc.nat(whole.length - 1),
        fc.integer({
          min: pages * PAGE_BYTES,
          max: whole.length - 1,
        }),
      ),
      fc.integer({ min: 1, max: 255 }),
    );
    const property = fc.asyncProperty(changes, async ([at, xor]) => {
      const bytes = whole.slice();
      bytes[at] = (bytes[at] ?? 0) ^ xor;
      await Deno.writeFile(path, bytes);
      assert(await digestFile(path) !== digest);
      const opened = await outcome(path);
      // The last word of the footer and a run's first page may change to something that can be.
      if (at >= pages * PAGE_BYTES) assert(opened === "corrupt" || opened.startsWith("runs"));
      else assertEquals(opened, "runs 0+2 7+1 9+1");
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

Deno.test("an index that counts wrongly, overlaps or goes back is corrupt", async () => {
  await withFile(async (path) => {
    await write(path, new Map([[2, 1], [3, 2], [7, 3]]));
    const whole = await Deno.readFile(path);
    const at = 3 * PAGE_BYTES;
    for (
      const [offset, value] of [
        [0, 8], // first run after the second
        [4, 1], // one page too few
        [4, 0],
        [4, 6], // overlaps
        [8, 3], // second run within the first
        [12, 0],
        [16, 0], // magic
        [24, 3], // runs
        [28, 4], // pages
        [32, 8192], // page size
      ] as const
    ) {
      const bytes = whole.slice();
      new DataView(bytes.buffer).setUint32(at + offset, value, true);
      await Deno.writeFile(path, bytes);
      assertEquals(await outcome(path), "corrupt", `${value} at ${offset}`);
    }
  });
});

Deno.test("the writer refuses pages that go back, repeat, are not whole, or are none", async () => {
  await withFile(async (path) => {
    using writer = await MemoryDiffWriter.create(path);
    await writer.write(5, new Uint8Array(2 * PAGE_BYTES));
    for (const [first, bytes] of [[6, 4096], [5, 4096], [0, 4096], [9, 100], [9, 0]] as const) {
      await assertRejects(() => writer.write(first, new Uint8Array(bytes)), RangeError);
    }
    await writer.write(7, pageOf(1));
    assertEquals((await writer.finish()).pages, 3);
    assertEquals(await outcome(path), "runs 5+3");
    await assertRejects(() => MemoryDiffWriter.create(path), Deno.errors.AlreadyExists);
  });
});

Deno.test("an empty diff is one, and nothing outside of a diff can be read", async () => {
  await withFile(async (path) => {
    await write(path, new Map());
    using empty = await MemoryDiff.open(path);
    assertEquals(empty.runs, []);
    await assertRejects(() => empty.read(0, pageOf(0)), RangeError);
    await write(path, new Map([[3, 3]]));
    using one = await MemoryDiff.open(path);
    for (const at of [-1, 1, 3]) await assertRejects(() => one.read(at, pageOf(0)), RangeError);
  });
});

async function outcome(path: string): Promise<string> {
  try {
    using diff = await MemoryDiff.open(path);
    return `runs ${diff.runs.map(({ first, count }) => `${first}+${count}`).join(" ")}`;
  } catch (error) {
    if (error instanceof WrennError && error.code === "snapshot_corrupt") return "corrupt";
    throw error;
  }
}

async function assertCorrupt(path: string): Promise<void> {
  assertEquals(await outcome(path), "corrupt");
}
