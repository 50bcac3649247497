import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { basename } from "node:path";
import type { PageRun } from "../core/memory_pages.ts";
import { applyDiffs } from "./apply_diffs.ts";
import { writeChangedPages } from "./changed_pages.ts";
import { digestFile } from "./digest.ts";
import { MemoryDiff } from "./memory_diff.ts";
import { type ModelDiff, modelDiff, ModelMemory, withDiffs } from "./testing/model.ts";

const PAGES = 150;

/** Pages as runs, neighbours joined. */
function runsOf(pages: Iterable<number>): PageRun[] {
  const runs: { first: number; count: number }[] = [];
  for (const page of [...pages].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last && last.first + last.count === page) last.count++;
    else runs.push({ first: page, count: 1 });
  }
  return runs;
}

/** The chain's pages: later diffs over earlier ones. */
function union(diffs: readonly ModelDiff[]): Map<number, number> {
  return new Map(diffs.flatMap((diff) => [...diff]));
}

Deno.test("writeChangedPages() writes the pages that the chain has otherwise or not at all, no other", async () => {
  const chains = fc.array(modelDiff(PAGES), { maxLength: 4 });
  const property = fc.asyncProperty(
    chains,
    modelDiff(PAGES),
    modelDiff(PAGES),
    async (below, now, again) => {
      await withDiffs(below, async (paths, folder) => {
        const chain = union(below);
        // The guest wrote some pages, some of them with what was there, before it was captured.
        const written = union([now, new Map([...again].map(([p, f]) => [p, chain.get(p) ?? f]))]);
        const guest = new ModelMemory(PAGES);
        for (const diff of [...below, written]) guest.apply(diff);
        // Every page of the chain was written when the guest was restored.
        const candidates = runsOf(new Set([...chain.keys(), ...written.keys()]));
        const file = await writeChangedPages({ candidates, guest, below: paths, folder });

        const wanted = [...written].filter(([page, fill]) => chain.get(page) !== fill);
        assertEquals(file?.pages ?? 0, wanted.length);
        const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
        const expected = [...paths.map((path) => basename(path)), ...file ? [file.file] : []];
        assertEquals(names.sort(), expected.sort());
        if (file === undefined) return;
        const path = `${folder}/${file.file}`;
        assertEquals([file.kind, file.digest], ["diff", await digestFile(path)]);
        assertEquals(file.bytes, (await Deno.stat(path)).size);
        using diff = await MemoryDiff.open(path);
        assertEquals(diff.runs, runsOf(wanted.map(([page]) => page)));

        const restored = new ModelMemory(PAGES);
        await applyDiffs([...paths, path], restored);
        assertEquals(Buffer.compare(restored.bytes, guest.bytes), 0);
      });
    },
  );
  await fc.assert(property, { numRuns: 80 });
});

Deno.test("writeChangedPages() compares whole pages, over pieces larger than its buffer", async () => {
  const pages = 1400;
  const all = new Map(Array.from({ length: pages }, (_, page) => [page, page % 251] as const));
  await withDiffs([all], async (paths, folder) => {
    const guest = new ModelMemory(pages);
    guest.apply(all);
    const candidates = [{ first: 0, count: pages }];
    assertEquals(
      await writeChangedPages({ candidates, guest, below: paths, folder }),
      undefined,
    );
    // First, last and middle byte of a page; both sides of a piece's edge.
    const changed = [[0, 0], [511, 4095], [512, 2048], [1023, 0], [1399, 4095]] as const;
    for (const [page, at] of changed) {
      const i = page * 4096 + at;
      guest.bytes[i] = (guest.bytes[i] ?? 0) ^ 1;
    }
    const file = await writeChangedPages({ candidates, guest, below: paths, folder });
    using diff = await MemoryDiff.open(`${folder}/${file?.file}`);
    assertEquals(diff.runs, runsOf(changed.map(([page]) => page)));
    const restored = new ModelMemory(pages);
    await applyDiffs([...paths, `${folder}/${file?.file}`], restored);
    assertEquals(Buffer.compare(restored.bytes, guest.bytes), 0);
  });
});

Deno.test("writeChangedPages() keeps zero pages that cover others below", async () => {
  await withDiffs([new Map([[3, 7]])], async (below, folder) => {
    const guest = new ModelMemory(8);
    const candidates = [{ first: 3, count: 1 }];
    assertEquals((await writeChangedPages({ candidates, guest, below, folder }))?.pages, 1);
    assertEquals(
      await writeChangedPages({ candidates: [], guest, below, folder }),
      undefined,
    );
  });
});
