import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { countPages, type PageRun, privatePages } from "./memory_pages.ts";

const ANONYMOUS = 1n << 63n;
const FILE = (1n << 63n) | (1n << 61n);
const SWAPPED = 1n << 62n;
const SWAPPED_FILE = (1n << 62n) | (1n << 61n);

function entries(values: readonly bigint[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new BigUint64Array(values).buffer);
}

Deno.test("privatePages() takes what is anonymous or swapped out, not the file's pages", () => {
  assertEquals(privatePages(entries([])), []);
  assertEquals(privatePages(entries([0n, FILE, FILE | 0x7fn])), []);
  assertEquals(
    privatePages(entries([ANONYMOUS | 5n, ANONYMOUS, FILE, 0n, SWAPPED, SWAPPED_FILE, ANONYMOUS])),
    [{ first: 0, count: 2 }, { first: 4, count: 3 }],
  );
});

Deno.test("privatePages() covers each written page once, in order", () => {
  fc.assert(fc.property(fc.array(fc.boolean()), (written) => {
    const runs = privatePages(entries(written.map((w) => w ? ANONYMOUS : FILE)));
    const pages = runs.flatMap(({ first, count }: PageRun) =>
      Array.from({ length: count }, (_, i) => first + i)
    );
    assertEquals(pages, written.flatMap((w, i) => w ? [i] : []));
    assertEquals(countPages(runs), pages.length);
  }));
});
