import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { spareStep, type SpareView, STALE_MS } from "./spare_policy.ts";

const NOW = 1_000_000;
const kind = (ready: number, age: number) => ({ ready, askedMs: NOW - age });
const view = (kinds: SpareView["kinds"], change: Partial<SpareView> = {}): SpareView => ({
  ...{ kinds, count: 4, room: 100, nowMs: NOW },
  ...change,
});

Deno.test("spareStep() fills up with what was asked for last", () => {
  assertEquals(spareStep(view([kind(1, 500), kind(2, 10)])), { do: "make", kind: 1 });
  assertEquals(spareStep(view([kind(1, 500), kind(3, 10)])), undefined);
  assertEquals(spareStep(view([])), undefined);
});

Deno.test("spareStep() lets a kind go that nobody asks for, and no other", () => {
  const late = STALE_MS + 1;
  assertEquals(spareStep(view([kind(4, late), kind(0, 10)])), { do: "drop", kind: 0 });
  assertEquals(spareStep(view([kind(4, STALE_MS), kind(0, 10)])), undefined);
  assertEquals(spareStep(view([kind(4, late)])), undefined, "the last kind keeps its own");
});

Deno.test("spareStep() gives memory back and makes nothing without", () => {
  assertEquals(spareStep(view([kind(1, 500), kind(2, 10)], { room: -1 })), { do: "drop", kind: 0 });
  assertEquals(spareStep(view([kind(1, 10)], { room: 0 })), undefined);
  assertEquals(spareStep(view([kind(1, 10)], { count: 0 })), { do: "drop", kind: 0 });
});

Deno.test("spareStep() comes to rest and keeps its number", () => {
  const views = fc.record({
    kinds: fc.array(
      fc.record({ ready: fc.nat(5), askedMs: fc.integer({ min: 0, max: NOW }) }),
      { maxLength: 5 },
    ),
    count: fc.nat(6),
    room: fc.integer({ min: -3, max: 20 }),
    nowMs: fc.constant(NOW),
  });
  fc.assert(fc.property(views, (start) => {
    const kinds = start.kinds.map((each) => ({ ...each }));
    let room = start.room;
    for (let n = 0; n < 100; n++) {
      const step = spareStep({ ...start, kinds, room });
      const ready = kinds.reduce((sum, { ready }) => sum + ready, 0);
      if (step === undefined) return assert(ready <= start.count && (room >= 0 || ready === 0));
      const chosen = kinds[step.kind];
      assert(chosen && (step.do === "make" || chosen.ready > 0));
      chosen.ready += step.do === "make" ? 1 : -1;
      room += step.do === "make" ? -1 : 1;
    }
    throw new Error("It never rests");
  }));
});
