import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type CapacityLimits, type CapacityView, refuseCapacity } from "./capacity.ts";

const LIMITS: CapacityLimits = {
  maxSandboxes: 4,
  memoryOvercommit: 2,
  memoryReserveMb: 256,
  diskReserveMb: 512,
};
const EMPTY: CapacityView = {
  live: 0,
  promisedMb: 0,
  startingMb: 0,
  memoryTotalMb: 4096,
  memoryAvailableMb: 3500,
  diskFreeMb: 10_000,
};

Deno.test("refuseCapacity() takes what fits", () => {
  assertEquals(refuseCapacity(512, EMPTY, LIMITS), undefined);
});

Deno.test("refuseCapacity() refuses at each limit with its code", () => {
  const code = (memoryMb: number, change: Partial<CapacityView>): string | undefined =>
    refuseCapacity(memoryMb, { ...EMPTY, ...change }, LIMITS)?.code;
  assertEquals(code(512, { live: 4 }), "capacity_exhausted");
  assertEquals(code(512, { promisedMb: 7681 }), "capacity_exhausted");
  assertEquals(code(512, { promisedMb: 7680 }), undefined);
  assertEquals(code(512, { memoryAvailableMb: 767 }), "capacity_exhausted");
  assertEquals(code(512, { memoryAvailableMb: 768 }), undefined);
  assertEquals(code(512, { memoryAvailableMb: 1000, startingMb: 512 }), "capacity_exhausted");
  assertEquals(code(512, { diskFreeMb: 511 }), "no_space");
});

Deno.test("refuseCapacity() never lets a burst of starts pass the host's memory", () => {
  const sizes = fc.array(fc.integer({ min: 64, max: 2048 }), { maxLength: 30 });
  fc.assert(fc.property(sizes, (burst) => {
    let view = { ...EMPTY };
    for (const memoryMb of burst) {
      if (refuseCapacity(memoryMb, view, LIMITS) !== undefined) continue;
      view = {
        ...view,
        live: view.live + 1,
        promisedMb: view.promisedMb + memoryMb,
        startingMb: view.startingMb + memoryMb,
      };
    }
    assert(view.live <= LIMITS.maxSandboxes);
    assert(view.startingMb + LIMITS.memoryReserveMb <= view.memoryAvailableMb || view.live === 0);
  }));
});
