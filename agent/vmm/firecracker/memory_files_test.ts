import { assert, assertEquals, assertThrows } from "@std/assert";
import { PAGE_BYTES } from "../../core/memory_pages.ts";
import {
  checkHoles,
  copySparse,
  digHoles,
  filledMemory,
  layeredMemory,
  pagesWithData,
} from "./memory_files.ts";

const PAGES = 64;

async function files(body: (base: string, written: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-memory-" });
  try {
    const [base, written] = [`${folder}/base`, `${folder}/written`];
    const bytes = new Uint8Array(PAGES * PAGE_BYTES);
    for (let page = 0; page < PAGES; page++) bytes.fill(page + 1, page * PAGE_BYTES);
    await Deno.writeFile(base, bytes);
    await Deno.create(written).then((file) => file.close());
    await Deno.truncate(written, bytes.length);
    await body(base, written);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function page(byte: number, count: number = 1): Uint8Array {
  return new Uint8Array(count * PAGE_BYTES).fill(byte);
}

function firstBytes(from: Uint8Array): number[] {
  return Array.from({ length: from.length / PAGE_BYTES }, (_, n) => from[n * PAGE_BYTES] ?? -1);
}

Deno.test("what is filled in lies over the base, and the base stays as it is", async () => {
  await files(async (base, written) => {
    const copy = `${base}-copy`;
    await copySparse(base, copy);
    {
      using memory = filledMemory(copy, written);
      assertEquals(memory.pages, PAGES);
      memory.write(5, page(0, 2));
      memory.write(40, page(200));
      const seen = page(0);
      memory.read(40, seen);
      assertEquals(seen[0], 200);
    }
    assertEquals(pagesWithData(written), [{ first: 5, count: 2 }, { first: 40, count: 1 }]);
    using memory = layeredMemory(base, written);
    const all = page(0, PAGES);
    memory.read(0, all);
    const expected = Array.from({ length: PAGES }, (_, n) => n + 1);
    expected.splice(5, 2, 0, 0);
    expected.splice(40, 1, 200);
    assertEquals(firstBytes(all), expected);
    for (const [first, count] of [[4, 3], [6, 1], [7, 33], [39, 3], [63, 1]] as const) {
      const part = page(255, count);
      memory.read(first, part);
      assertEquals(firstBytes(part), expected.slice(first, first + count));
    }
    assertEquals((await Deno.readFile(copy))[40 * PAGE_BYTES], 200);
    assertEquals((await Deno.readFile(base))[40 * PAGE_BYTES], 41);
  });
});

Deno.test("the memory of a machine that was booted is its base, and nothing lies outside of it", async () => {
  await files((base) => {
    using memory = layeredMemory(base, undefined);
    const part = page(0, 2);
    memory.read(PAGES - 2, part);
    assertEquals(firstBytes(part), [PAGES - 1, PAGES]);
    for (const [first, bytes] of [[PAGES, 4096], [-1, 4096], [0.5, 4096], [0, 100]] as const) {
      assertThrows(() => memory.read(first, new Uint8Array(bytes)), RangeError);
    }
    assertThrows(() => memory.write(0, page(1)), Error, "before it is loaded");
    return Promise.resolve();
  });
});

Deno.test("digHoles() gives zeros back and changes nothing", async () => {
  await files(async (base) => {
    using file = await Deno.open(base, { write: true });
    await file.write(page(0, 32));
    await file.sync();
    const before = await Deno.readFile(base);
    await digHoles(base);
    assertEquals(await Deno.readFile(base), before);
    assertEquals(pagesWithData(base), [{ first: 32, count: 32 }]);
  });
});

Deno.test("checkHoles() accepts this file system, leaves nothing, and refuses one without holes", async () => {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-holes-" });
  try {
    await checkHoles(folder);
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assert(await checkHoles("/proc").then(() => false, () => true));
});
