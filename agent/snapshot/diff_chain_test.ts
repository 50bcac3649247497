import { assert, assertEquals, assertRejects } from "@std/assert";
import { WrennError } from "@wrenn/common";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { PAGE_BYTES } from "../core/memory_pages.ts";
import { applyDiffs } from "./apply_diffs.ts";
import { DiffChain } from "./diff_chain.ts";
import { type ModelDiff, modelDiff, ModelMemory, withDiffs } from "./testing/model.ts";

const PAGES = 120;
const chains = fc.array(modelDiff(PAGES), { maxLength: 6 });

/** The chain's pages by the simplest means: later diffs over earlier ones. */
function union(diffs: readonly ModelDiff[]): [number, number][] {
  return [...new Map(diffs.flatMap((diff) => [...diff]))].sort(([a], [b]) => a - b);
}

Deno.test("applyDiffs() gives exactly the memory of the model and writes each page once", async () => {
  const property = fc.asyncProperty(chains, async (diffs) => {
    await withDiffs(diffs, async (paths) => {
      const [model, guest] = [new ModelMemory(PAGES), new ModelMemory(PAGES)];
      // What the chain does not have is the base's.
      for (const memory of [model, guest]) memory.bytes.fill(0xba);
      for (const diff of diffs) model.apply(diff);
      await applyDiffs(paths, guest);
      assertEquals(Buffer.compare(guest.bytes, model.bytes), 0);
      const written = [...guest.writes].sort(([a], [b]) => a - b);
      assertEquals(written, union(diffs).map(([page]) => [page, 1]));
    });
  });
  await fc.assert(property, { numRuns: 60 });
});

Deno.test("forEach() goes up in pieces of the given size at most, with the same content for any size", async () => {
  const property = fc.asyncProperty(chains, fc.integer({ min: 1, max: 9 }), async (diffs, most) => {
    await withDiffs(diffs, async (paths) => {
      using chain = await DiffChain.open(paths);
      const found: [number, number][] = [];
      await chain.forEach((first, bytes) => {
        assert(bytes.length > 0 && bytes.length <= most * PAGE_BYTES);
        for (let i = 0; i < bytes.length / PAGE_BYTES; i++) {
          found.push([first + i, bytes[i * PAGE_BYTES] ?? -1]);
        }
        return Promise.resolve();
      }, most * PAGE_BYTES);
      assertEquals(found, union(diffs));
    });
  });
  await fc.assert(property, { numRuns: 60 });
});

Deno.test("within() and read() give what the chain holds of any run of pages", async () => {
  const run = fc.record({ first: fc.nat(PAGES), count: fc.integer({ min: 1, max: 40 }) });
  const property = fc.asyncProperty(chains, run, async (diffs, { first, count }) => {
    await withDiffs(diffs, async (paths) => {
      using chain = await DiffChain.open(paths);
      const found: [number, number][] = [];
      for (const segment of chain.within({ first, count })) {
        const bytes = new Uint8Array(segment.count * PAGE_BYTES);
        await chain.read(segment, bytes);
        for (let i = 0; i < segment.count; i++) {
          found.push([segment.first + i, bytes[i * PAGE_BYTES] ?? -1]);
        }
      }
      const wanted = union(diffs).filter(([page]) => page >= first && page < first + count);
      assertEquals(found, wanted);
    });
  });
  await fc.assert(property, { numRuns: 60 });
});

Deno.test("open() closes what it opened when one diff of the chain is damaged or missing", async () => {
  const diffs = [new Map([[0, 1]]), new Map([[1, 2]])];
  await withDiffs(diffs, async (paths) => {
    const [first = "", second = ""] = paths;
    await Deno.truncate(second, 100);
    const error = await assertRejects(() => DiffChain.open(paths), WrennError);
    assertEquals(error.code, "snapshot_corrupt");
    await assertRejects(() => DiffChain.open([first, `${first}.gone`]), Deno.errors.NotFound);
  });
});
