import { assertEquals, assertRejects } from "@std/assert";
import { isReady, type PoolState, untilReady } from "./pool_gauge.ts";

const { signal } = new AbortController();
const state = (ready: number, target: number, spares: number = 2): PoolState => ({
  ...{ ready, target, hits: 0, misses: 0 },
  spares: { ready: spares, target: 2 },
});

/** A pool that goes through these states and stays at the last. */
function going(
  ...states: (PoolState | undefined)[]
): { looks: number; pool(): Promise<PoolState | undefined> } {
  return {
    looks: 0,
    pool() {
      const found = states[Math.min(this.looks, states.length - 1)];
      this.looks++;
      return Promise.resolve(found);
    },
  };
}

Deno.test("isReady() wants the target, and the least", () => {
  assertEquals(isReady(state(3, 4), 0), false);
  assertEquals(isReady(state(4, 4), 4), true);
  assertEquals(isReady(state(2, 2), 4), false);
  assertEquals(isReady(state(5, 4), 4), true);
  assertEquals(isReady(state(5, 4, 1), 4), false);
});

Deno.test("untilReady() waits until nothing is refilled any more", async () => {
  const gauge = going(state(0, 4), state(3, 4), state(4, 4));
  const found = await untilReady(gauge, { signal, least: 4, pollMs: 1 });
  assertEquals([found.ready, gauge.looks], [4, 3]);
});

Deno.test("untilReady() gives up with what it found", async () => {
  const wait = { signal, least: 20, pollMs: 1, timeoutMs: 10 };
  await assertRejects(() => untilReady(going(state(3, 4)), wait), Error, "3 of 20 ready");
  await assertRejects(() => untilReady(going(undefined), wait), Error, "none");
});

Deno.test("untilReady() ends with the signal", async () => {
  const abort = new AbortController();
  const waiting = untilReady(going(state(0, 1)), { signal: abort.signal, least: 1 });
  abort.abort(new Error("Enough"));
  await assertRejects(() => waiting, Error, "Enough");
});
