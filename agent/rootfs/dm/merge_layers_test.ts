import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import {
  areaChunk,
  CHUNK_BYTES,
  CHUNKS_PER_AREA,
  dataChunk,
  emptyStore,
  storeBytes,
  writeArea,
} from "../../core/dm_cow.ts";
import { isCowValid, mendCow, readChunks, readExceptions, writeCow } from "./cow_file.ts";
import { mergeLayers } from "./merge_layers.ts";

/** What a layer has: chunks of the disk, each filled with one byte value. */
type Chunks = ReadonlyMap<number, number>;

const name = (n: number): string => `layer-${n.toString(16).padStart(16, "0")}.cow`;

/** Writes a layer as the kernel would. */
async function writeLayer(path: string, chunks: Chunks): Promise<void> {
  const bytes = new Uint8Array(storeBytes(chunks.size));
  bytes.set(emptyStore());
  const exceptions = [...chunks.keys()].map((disk, i) => ({ disk, store: dataChunk(i) }));
  [...chunks.values()].forEach((fill, i) => {
    const at = dataChunk(i) * CHUNK_BYTES;
    bytes.fill(fill, at, at + CHUNK_BYTES);
  });
  for (let area = 0; area * CHUNKS_PER_AREA < exceptions.length; area++) {
    const part = exceptions.slice(area * CHUNKS_PER_AREA, (area + 1) * CHUNKS_PER_AREA);
    bytes.set(writeArea(part), areaChunk(area) * CHUNK_BYTES);
  }
  await Deno.writeFile(path, bytes);
}

/** Reads a layer as the kernel would. */
async function readLayer(path: string): Promise<Map<number, number>> {
  using file = await Deno.open(path);
  const found = new Map<number, number>();
  for (const { disk, store } of await readExceptions(file)) {
    const bytes = await readChunks(file, store, 1);
    const [fill = -1] = bytes;
    assert(bytes.every((byte) => byte === fill));
    found.set(disk, fill);
  }
  return found;
}

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-cow-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const chunks = fc.uniqueArray(fc.tuple(fc.nat(700), fc.constantFrom(0, 0, 1, 2, 255)), {
  maxLength: 400,
  selector: ([disk]) => disk,
}).map((entries) => new Map(entries));

Deno.test({
  name: "mergeLayers() holds what its layers hold, the higher ones' chunks above",
  ignore: Deno.uid() !== 0,
  fn: () =>
    withFolder(async (folder) => {
      const layers = fc.array(chunks, { minLength: 1, maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(layers, async (list) => {
          for (const [i, each] of list.entries()) await writeLayer(`${folder}/${name(i)}`, each);
          await mergeLayers(folder, list.map((_, i) => name(i)), name(99));
          const expected = new Map(list.flatMap((each) => [...each]));
          assertEquals(
            new Map([...await readLayer(`${folder}/${name(99)}`)].sort(([a], [b]) => a - b)),
            new Map([...expected].sort(([a], [b]) => a - b)),
          );
          const { size, blocks } = await Deno.stat(`${folder}/${name(99)}`);
          assertEquals(size, storeBytes(expected.size));
          const data = [...expected.values()].filter((fill) => fill !== 0).length;
          const most = (data + 3 + expected.size / CHUNKS_PER_AREA) * CHUNK_BYTES;
          assert((blocks ?? 0) * 512 <= most, "chunks of zeros are holes");
          await Deno.remove(`${folder}/${name(99)}`);
        }),
        { numRuns: 15 },
      );
    }),
});

Deno.test({
  name: "mergeLayers() leaves nothing when a layer is damaged",
  ignore: Deno.uid() !== 0,
  fn: () =>
    withFolder(async (folder) => {
      await writeLayer(`${folder}/${name(1)}`, new Map([[5, 1], [9, 2]]));
      await Deno.truncate(`${folder}/${name(1)}`, 3 * CHUNK_BYTES);
      await assertRejects(() => mergeLayers(folder, [name(1)], name(2)), Error, "cut short");
      await Deno.writeFile(`${folder}/${name(1)}`, new Uint8Array(storeBytes(1)));
      await assertRejects(() => mergeLayers(folder, [name(1)], name(2)), Error, "Not an exception");
      const names = await Array.fromAsync(Deno.readDir(folder), (entry) => entry.name);
      assertEquals(names, [name(1)]);
    }),
});

Deno.test({
  name: "writeCow() makes an empty layer that costs two blocks, mendCow() makes one valid again",
  ignore: Deno.uid() !== 0,
  fn: () =>
    withFolder(async (folder) => {
      await writeCow(folder, name(1), storeBytes(1_000_000));
      const path = `${folder}/${name(1)}`;
      const { size, blocks, mode } = await Deno.stat(path);
      assertEquals([size, (mode ?? 0) & 0o777], [storeBytes(1_000_000), 0o600]);
      assert((blocks ?? 0) * 512 <= 2 * CHUNK_BYTES);
      assertEquals(await readLayer(path), new Map());
      assertEquals(await isCowValid(path), true);
      using file = await Deno.open(path, { write: true });
      await file.seek(4, Deno.SeekMode.Start);
      await file.write(new Uint8Array(4));
      assertEquals(await isCowValid(path), false);
      await mendCow(path);
      assertEquals(await isCowValid(path), true);
      await Deno.truncate(path);
      await assertRejects(() => mendCow(path), Error, "cut short");
    }),
});
