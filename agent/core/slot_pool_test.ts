import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { refillPauseMs, SlotPool, type SlotState } from "./slot_pool.ts";

const FIRST = 20;
const LAST = 27;

Deno.test("SlotPool.take() gives the slot that has been ready the longest, then a free one to build", () => {
  const pool = new SlotPool({ first: 1, last: 3 }, 2);
  for (const index of [pool.fill(), pool.fill()]) pool.settle(index ?? 0, "ready");
  assertEquals(pool.fill(), undefined);
  assertEquals(pool.take(), { index: 1, ready: true });
  assertEquals(pool.fill(), 3);
  assertEquals([pool.take(), pool.take()], [{ index: 2, ready: true }, undefined]);
  pool.settle(3, "ready");
  assertEquals(pool.take(), { index: 3, ready: true });
  assertEquals(pool.list("claimed"), [1, 2, 3]);
});

Deno.test("SlotPool never has an index in two places, under any use", () => {
  const index = fc.integer({ min: FIRST - 1, max: LAST + 1 });
  const step = fc.oneof(
    fc.constant({ do: "take" } as const),
    fc.constant({ do: "fill" } as const),
    fc.record({ do: fc.constant("keep" as const), index }),
    fc.record({
      do: fc.constant("work" as const),
      index,
      from: fc.constantFrom("ready" as const, "claimed" as const, "kept" as const),
    }),
    fc.record({
      do: fc.constant("settle" as const),
      index,
      as: fc.constantFrom("claimed" as const, "lost" as const, "free" as const, "free" as const),
    }),
    // What fill() began is settled like this most of the time.
    fc.record({ do: fc.constant("filled" as const), index }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 80 }),
      fc.integer({ min: 0, max: 4 }),
      (steps, target) => {
        const pool = new SlotPool({ first: FIRST, last: LAST }, target);
        const model = new Map<number, SlotState>();
        const filling = new Set<number>();
        let readyOrder: number[] = [];
        const inRange = (i: number): boolean => i >= FIRST && i <= LAST;
        for (const action of steps) {
          if (action.do === "take") {
            const taken = pool.take();
            if (readyOrder.length > 0) assertEquals(taken, { index: readyOrder[0], ready: true });
            else assertEquals(taken === undefined, model.size === LAST - FIRST + 1);
            if (!taken) continue;
            assert(inRange(taken.index));
            assertEquals(model.get(taken.index), taken.ready ? "ready" : undefined);
            model.set(taken.index, taken.ready ? "claimed" : "working");
          } else if (action.do === "fill") {
            const filled = pool.fill();
            const wanted = readyOrder.length + filling.size < target;
            assertEquals(filled !== undefined, wanted && model.size < LAST - FIRST + 1);
            if (filled === undefined) continue;
            assert(inRange(filled) && !model.has(filled));
            model.set(filled, "working");
            filling.add(filled);
          } else if (action.do === "keep") {
            const free = inRange(action.index) && !model.has(action.index);
            assertEquals(pool.keep(action.index), free);
            if (free) model.set(action.index, "kept");
          } else if (action.do === "work") {
            const fits = model.get(action.index) === action.from;
            assertEquals(pool.work(action.index, action.from), fits);
            if (fits) model.set(action.index, "working");
          } else {
            const as = action.do === "filled" ? "ready" as const : action.as;
            if (as === "ready" && !filling.has(action.index)) continue;
            if (model.get(action.index) !== "working") {
              assertThrows(() => pool.settle(action.index, as), Error, "not worked on");
              continue;
            }
            pool.settle(action.index, as);
            filling.delete(action.index);
            if (as === "free") model.delete(action.index);
            else model.set(action.index, as);
            if (as === "ready") readyOrder.push(action.index);
          }
          readyOrder = readyOrder.filter((i) => model.get(i) === "ready");
          assert(pool.count("ready") <= target);
          for (let i = FIRST - 1; i <= LAST + 1; i++) assertEquals(pool.state(i), model.get(i));
          for (const state of ["working", "ready", "claimed", "kept", "lost"] as const) {
            const expected = [...model].flatMap(([i, s]) => s === state ? [i] : []);
            assertEquals(pool.list(state).toSorted(), expected.toSorted());
            assertEquals(pool.count(state), expected.length);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("SlotPool refuses a target that is not a whole number", () => {
  for (const target of [-1, 1.5, NaN]) {
    assertThrows(() => new SlotPool({ first: 1, last: 9 }, target), RangeError);
  }
});

Deno.test("refillPauseMs() grows with the failures in a row, up to a limit", () => {
  assertEquals([0, 1, 2, 3, 7, 50].map(refillPauseMs), [0, 1000, 2000, 4000, 60_000, 60_000]);
});
