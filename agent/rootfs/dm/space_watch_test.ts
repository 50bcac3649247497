import { logger } from "@wrenn/common";
import { assert, assertEquals } from "@std/assert";
import { watchSpace } from "./space_watch.ts";

/** Runs the watch over a sequence of free space and answers what it did. */
async function watch(free: readonly (number | Error)[], failing = ""): Promise<string[]> {
  const end = new AbortController();
  const done: string[] = [];
  const left = [...free];
  const act = (what: string): Promise<void> => {
    done.push(what);
    return what === failing ? Promise.reject(new Error(what)) : Promise.resolve();
  };
  const health = {
    freeMb: () => {
      const next = left.shift();
      if (left.length === 0) end.abort();
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next ?? 0);
    },
    hold: (held: boolean) => act(held ? "hold" : "go on"),
    mendAll: () => act("mend").then(() => []),
  };
  const wait = (ms: number): Promise<void> => {
    assert(ms >= 50);
    return Promise.resolve();
  };
  const log = logger("test");
  await watchSpace({ health, reserveMb: 256, signal: end.signal, wait, log });
  return done;
}

Deno.test("watchSpace() holds writes back until the reserve is whole, then mends", async () => {
  assertEquals(await watch([1000, 300, 200]), []);
  assertEquals(await watch([1000, 100, 200, 300, 300]), ["hold", "hold", "go on", "mend"]);
});

Deno.test("watchSpace() lets writes go on when it ends", async () => {
  assertEquals(await watch([1000, 100, 100]), ["hold", "hold", "go on"]);
});

Deno.test("watchSpace() goes on when it cannot look or act, and tries again", async () => {
  assertEquals(await watch([new Error("statfs"), 100, 300, 300]), ["hold", "go on", "mend"]);
  assertEquals(await watch([100, 100, 300, 300], "hold"), ["hold", "hold"]);
  assertEquals(await watch([100, 300, 300], "mend"), [
    "hold",
    "go on",
    "mend",
    "go on",
    "mend",
    "go on",
  ]);
});
