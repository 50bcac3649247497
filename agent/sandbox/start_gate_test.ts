import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { StartGate, type StartPermit } from "./start_gate.ts";

const never = new AbortController().signal;

Deno.test("StartGate lets waiters in by order of asking", async () => {
  const gate = new StartGate(1);
  const order: number[] = [];
  const first = await gate.enter(never);
  const rest = [1, 2, 3].map(async (n) => {
    using _permit = await gate.enter(never);
    order.push(n);
  });
  assertEquals(gate.waiting, 3);
  first[Symbol.dispose]();
  await Promise.all(rest);
  assertEquals(order, [1, 2, 3]);
  assertEquals(gate.waiting, 0);
});

Deno.test("StartGate forgets a waiter that gives up", async () => {
  const gate = new StartGate(1);
  const first = await gate.enter(never);
  const gone = new AbortController();
  const waits = gate.enter(gone.signal);
  gone.abort(new Error("Gone"));
  await assertRejects(() => waits, Error, "Gone");
  await assertRejects(() => gate.enter(gone.signal), Error, "Gone");
  first[Symbol.dispose]();
  (await gate.enter(never))[Symbol.dispose]();
});

Deno.test("StartGate never holds more than its places, and loses none", async () => {
  await fc.assert(fc.asyncProperty(
    fc.integer({ min: 1, max: 4 }),
    fc.array(fc.boolean(), { maxLength: 30 }),
    async (places, giveUp) => {
      const gate = new StartGate(places);
      let inside = 0;
      await Promise.all(giveUp.map(async (quit) => {
        const signal = new AbortController();
        const entering = gate.enter(signal.signal);
        if (quit) signal.abort(new Error("Gone"));
        let permit: StartPermit;
        try {
          permit = await entering;
        } catch {
          return;
        }
        inside++;
        assert(inside <= places);
        await Promise.resolve();
        inside--;
        permit[Symbol.dispose]();
        permit[Symbol.dispose]();
      }));
      const all = await Promise.all(Array.from({ length: places }, () => gate.enter(never)));
      assertEquals(all.length, places);
    },
  ));
});
