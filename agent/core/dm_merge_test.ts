import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { CHUNKS_PER_AREA, type CowException, dataChunk } from "./dm_cow.ts";
import { planMerge } from "./dm_merge.ts";

/** A layer that has these chunks of the disk, in the order in which they were first written. */
function layerOf(disk: Iterable<number>): CowException[] {
  return [...disk].map((chunk, i) => ({ disk: chunk, store: dataChunk(i) }));
}

const layer = fc.uniqueArray(fc.integer({ min: 0, max: 900 }), { maxLength: 600 }).map(layerOf);

Deno.test("planMerge() has each chunk of any layer once, from the highest that has it", () => {
  fc.assert(fc.property(fc.array(layer, { maxLength: 6 }), (layers) => {
    const { areas, runs } = planMerge(layers);
    const copied = new Map<number, [number, number]>();
    for (const { layer, from, to, chunks } of runs) {
      for (let i = 0; i < chunks; i++) {
        assert(!copied.has(to + i), "no chunk is written twice");
        copied.set(to + i, [layer, from + i]);
      }
    }
    const merged = new Map<number, [number, number] | undefined>();
    for (const { disk, store } of areas.flat()) merged.set(disk, copied.get(store));
    const expected = new Map<number, [number, number]>();
    layers.forEach((list, at) => list.forEach((e) => expected.set(e.disk, [at, e.store])));
    assertEquals(merged, expected);
    assertEquals(copied.size, expected.size, "nothing is copied in vain");
  }));
});

Deno.test("planMerge() fills areas one after the other, in the order of the disk", () => {
  fc.assert(fc.property(fc.array(layer, { maxLength: 4 }), (layers) => {
    const { areas } = planMerge(layers);
    for (const area of areas.slice(0, -1)) assertEquals(area.length, CHUNKS_PER_AREA);
    const all = areas.flat();
    assertEquals(all.map(({ store }) => store), all.map((_, i) => dataChunk(i)));
    assertEquals(all.map(({ disk }) => disk), all.map(({ disk }) => disk).sort((a, b) => a - b));
  }));
});

Deno.test("planMerge() copies a layer that was written from end to end area by area", () => {
  const { runs } = planMerge([layerOf(Array(600).keys())]);
  assertEquals(runs.map(({ chunks }) => chunks), [256, 256, 88]);
  assertEquals(planMerge([]), { areas: [], runs: [] });
});
