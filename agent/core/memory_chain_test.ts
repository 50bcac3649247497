import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type ChainSegment, overlapping, planChain } from "./memory_chain.ts";
import type { PageRun } from "./memory_pages.ts";

const PAGES = 60;

/** Ascending runs without overlap. */
const diff = fc.array(fc.boolean(), { minLength: PAGES, maxLength: PAGES }).map((written) => {
  const runs: PageRun[] = [];
  written.forEach((w, page) => {
    const last = runs.at(-1);
    if (!w) return;
    if (last && last.first + last.count === page) {
      runs[runs.length - 1] = { first: last.first, count: last.count + 1 };
    } else runs.push({ first: page, count: 1 });
  });
  return runs;
});

/** Page to `diff:index of the page in that diff's data`. */
function naive(diffs: readonly (readonly PageRun[])[]): Map<number, string> {
  const pages = new Map<number, string>();
  diffs.forEach((runs, d) => {
    let at = 0;
    for (const { first, count } of runs) {
      for (let i = 0; i < count; i++) pages.set(first + i, `${d}:${at++}`);
    }
  });
  return pages;
}

function pagesOf(segments: readonly ChainSegment[]): Map<number, string> {
  const pages = new Map<number, string>();
  for (const { first, count, diff, at } of segments) {
    for (let i = 0; i < count; i++) {
      assert(!pages.has(first + i), `page ${first + i} twice`);
      pages.set(first + i, `${diff}:${at + i}`);
    }
  }
  return pages;
}

const sorted = (pages: Map<number, string>) => [...pages].sort(([a], [b]) => a - b);

Deno.test("planChain() gives every page to the newest diff that has it", () => {
  fc.assert(fc.property(fc.array(diff, { maxLength: 5 }), (diffs) => {
    const chain = planChain(diffs);
    assertEquals([...pagesOf(chain)], sorted(naive(diffs)));
    assert(chain.every(({ count }) => count > 0));
  }));
});

Deno.test("overlapping() cuts the chain to the pages asked for", () => {
  fc.assert(
    fc.property(
      fc.array(diff, { maxLength: 4 }),
      fc.nat(PAGES),
      fc.nat(PAGES),
      (diffs, first, n) => {
        const count = n + 1;
        const expected = sorted(naive(diffs)).filter(([p]) => p >= first && p < first + count);
        assertEquals([...pagesOf(overlapping(planChain(diffs), { first, count }))], expected);
      },
    ),
  );
});
