import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { BoundedQueue } from "./queue.ts";

Deno.test("BoundedQueue gives every item in order and never holds more than its limit", async () => {
  const items = fc.array(fc.integer({ min: 1, max: 9 }));
  await fc.assert(fc.asyncProperty(items, fc.integer({ min: 1, max: 20 }), async (given, limit) => {
    const queue = new BoundedQueue<number>({ limit, weigh: (n) => n });
    let peak = 0;
    const writing = (async () => {
      for (const item of given) {
        const room = queue.push(item);
        peak = Math.max(peak, queue.weight);
        await room;
      }
      queue.end();
    })();
    const got: number[] = [];
    for await (const item of queue) got.push(item);
    await writing;
    assertEquals(got, given);
    assertEquals(peak < limit + 9, true);
  }));
});

Deno.test("BoundedQueue releases its writer when the reader leaves", async () => {
  const queue = new BoundedQueue<number>({ limit: 1 });
  const first = queue.push(1);
  for await (const _ of queue) break;
  assertEquals(await first, true);
  assertEquals(await queue.push(2), false);
});

Deno.test("BoundedQueue throws its error after what was queued", async () => {
  const queue = new BoundedQueue<number>({ limit: 9 });
  await queue.push(1);
  queue.end({ error: new RangeError("Over") });
  const got: number[] = [];
  await assertRejects(async () => {
    for await (const item of queue) got.push(item);
  }, RangeError);
  assertEquals(got, [1]);
});
