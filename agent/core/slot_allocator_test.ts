import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SlotAllocator } from "./slot_allocator.ts";

Deno.test("SlotAllocator.take() rotates, so that a released index is not reused at once", () => {
  const slots = new SlotAllocator({ first: 5, last: 7 });
  assertEquals(slots.take(), 5);
  slots.give(5);
  assertEquals([slots.take(), slots.take(), slots.take(), slots.take()], [6, 7, 5, undefined]);
});

Deno.test("SlotAllocator behaves like a set of free indexes under any use", () => {
  const index = fc.integer({ min: 8, max: 19 });
  const step = fc.oneof(
    fc.constant<"take">("take"),
    fc.record({ give: index }),
    fc.record({ reserve: index }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const slots = new SlotAllocator({ first: 10, last: 17 });
    const used = new Set<number>();
    for (const action of steps) {
      if (action === "take") {
        const index = slots.take();
        assertEquals(index === undefined, used.size === 8);
        if (index === undefined) continue;
        assert(index >= 10 && index <= 17 && !used.has(index));
        used.add(index);
      } else if ("reserve" in action) {
        const { reserve } = action;
        assertEquals(slots.reserve(reserve), reserve >= 10 && reserve <= 17 && !used.has(reserve));
        if (reserve >= 10 && reserve <= 17) used.add(reserve);
      } else {
        slots.give(action.give);
        used.delete(action.give);
      }
      assertEquals(slots.size, used.size);
    }
  }));
});

Deno.test("SlotAllocator refuses a range outside 1 to 65534", () => {
  for (const [first, last] of [[0, 5], [5, 4], [1, 65535], [1.5, 3]] as const) {
    assertThrows(() => new SlotAllocator({ first, last }), RangeError, "Wrong slot range");
  }
});
