import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  areaChunk,
  CHUNK_BYTES,
  CHUNKS_PER_AREA,
  dataChunk,
  emptyStore,
  readArea,
  readCowHeader,
  storeBytes,
  storeBytesWithin,
  VALID_OFFSET,
  wholeStoreBytes,
  writeArea,
} from "./dm_cow.ts";

const MIB = 1024 * 1024;

/** Chunks that the kernel gives out one after the other, as drivers/md/dm-snap-persistent.c does. */
function kernelChunks(bytes: number): { given: number[]; cleared: number[] } {
  const size = bytes / CHUNK_BYTES;
  const [given, cleared]: [number[], number[]] = [[], [1]];
  let free = 2;
  while (free + 1 <= size) {
    given.push(free++);
    if (free % (CHUNKS_PER_AREA + 1) === 1) free++;
    if (given.length % CHUNKS_PER_AREA === 0) {
      cleared.push(1 + (CHUNKS_PER_AREA + 1) * given.length / CHUNKS_PER_AREA);
    }
  }
  return { given, cleared };
}

Deno.test("storeBytes() has room for all exceptions and for every area that the kernel clears", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 5000 }), (exceptions) => {
    const bytes = storeBytes(exceptions);
    const { given, cleared } = kernelChunks(bytes);
    assert(given.length >= Math.max(1, exceptions), `${given.length} chunks`);
    assert(given.length < exceptions + CHUNKS_PER_AREA + 1, "not an area more than needed");
    assert(cleared.every((chunk) => (chunk + 1) * CHUNK_BYTES <= bytes));
  }));
});

Deno.test("dataChunk() and areaChunk() number chunks as the kernel does", () => {
  const { given, cleared } = kernelChunks(storeBytes(3000));
  assertEquals(given.map((_, i) => dataChunk(i)), given);
  assertEquals(cleared.map((_, i) => areaChunk(i)), cleared);
});

Deno.test("wholeStoreBytes() lets a disk be written from end to end", () => {
  for (const sizeMb of [1, 2, 3, 1024, 1025, 4 * 1024 * 1024]) {
    const chunks = sizeMb * MIB / CHUNK_BYTES;
    const bytes = wholeStoreBytes(sizeMb);
    assert(dataChunk(chunks - 1) < bytes / CHUNK_BYTES);
    assert(bytes < sizeMb * MIB * 1.005 + 2 * MIB, `${bytes} for ${sizeMb} MiB`);
  }
});

Deno.test("storeBytesWithin() stays within the limit and uses nearly all of it", () => {
  fc.assert(fc.property(fc.integer({ min: 2, max: 100_000 }), (limitMb) => {
    const bytes = storeBytesWithin(limitMb);
    assert(bytes <= limitMb * MIB && bytes > limitMb * MIB - 1.01 * MIB);
    const { cleared } = kernelChunks(Math.min(bytes, storeBytesWithin(50)));
    assert(cleared.every((chunk) => (chunk + 1) * CHUNK_BYTES <= bytes));
  }));
  for (const limit of [0, 1, -5, NaN]) assertThrows(() => storeBytesWithin(limit), RangeError);
});

Deno.test("readCowHeader() takes what emptyStore() writes, and tells an invalid one", () => {
  const bytes = emptyStore();
  assertEquals(readCowHeader(bytes), true);
  assertEquals(readArea(bytes.subarray(CHUNK_BYTES)), []);
  new DataView(bytes.buffer).setUint32(VALID_OFFSET, 0, true);
  assertEquals(readCowHeader(bytes), false);
});

Deno.test("readCowHeader() refuses what is no store of ours", () => {
  const wrong = (at: number, value: number): Uint8Array => {
    const bytes = emptyStore();
    new DataView(bytes.buffer).setUint32(at, value, true);
    return bytes;
  };
  for (const bytes of [new Uint8Array(4096), new Uint8Array(3), wrong(0, 1)]) {
    assertThrows(() => readCowHeader(bytes), Error, "Not an exception store");
  }
  for (const bytes of [wrong(8, 2), wrong(12, 16)]) {
    assertThrows(() => readCowHeader(bytes), Error, "of ours");
  }
});

Deno.test("readArea() reads what writeArea() writes", () => {
  const exception = fc.record({
    disk: fc.integer({ min: 0, max: 2 ** 40 }),
    store: fc.integer({ min: 2, max: 2 ** 40 }),
  }, { noNullPrototype: true });
  fc.assert(fc.property(fc.array(exception, { maxLength: CHUNKS_PER_AREA }), (list) => {
    assertEquals(readArea(writeArea(list)), list);
  }));
  const tooMany = Array.from({ length: CHUNKS_PER_AREA + 1 }, () => ({ disk: 1, store: 2 }));
  assertThrows(() => writeArea(tooMany), RangeError);
});
