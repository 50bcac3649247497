import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseServerTiming } from "./server_timing.ts";

const read = (header: string | null): [string, number][] => [...parseServerTiming(header)];

Deno.test("parseServerTiming() reads durations by name, in order", () => {
  assertEquals(read("auth;dur=0.12, sql;dur=3, rpc;dur=17.5"), [
    ["auth", 0.12],
    ["sql", 3],
    ["rpc", 17.5],
  ]);
});

Deno.test("parseServerTiming() takes blanks, quotes, descriptions and names without a duration", () => {
  assertEquals(read(' sql ; desc="a, b;dur=9" ; dur = 2 ,miss, cache;desc=hit;dur="1.5"'), [
    ["sql", 2],
    ["cache", 1.5],
  ]);
  assertEquals(read('quoted;desc="say \\"x\\"";dur=4'), [["quoted", 4]]);
});

Deno.test("parseServerTiming() adds up a name that comes twice", () => {
  assertEquals(read("sql;dur=1, rpc;dur=5, sql;dur=2"), [["sql", 3], ["rpc", 5]]);
});

Deno.test("parseServerTiming() reads nothing from no header and what is none", () => {
  for (const header of [null, "", " ", ",", "{}", "=3", "a;dur=-1", "a;dur=x"]) {
    assertEquals(read(header), [], String(header));
  }
});

Deno.test("parseServerTiming() gives back what was written, and ends for any text", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,9}$/);
  const ms = fc.integer({ min: 0, max: 1e6 }).map((n) => n / 100);
  const steps = fc.uniqueArray(fc.tuple(name, ms), { selector: ([n]) => n, maxLength: 9 });
  fc.assert(fc.property(steps, (list) => {
    assertEquals(read(list.map(([n, d]) => `${n};dur=${d}`).join(", ")), list);
  }));
  fc.assert(fc.property(fc.string(), (text) => void parseServerTiming(text)));
});
