import { assert, assertEquals } from "@std/assert";
import { Broadcast, IDLE } from "./broadcast.ts";

/** True when the promise has settled by the time all that can run has run. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => done = true);
  for (let i = 0; i < 10; i++) await Promise.resolve();
  return done;
}

Deno.test("Broadcast.publish() waits for the slowest reader", async () => {
  const broadcast = new Broadcast<number>(10);
  using fast = broadcast.subscribe();
  using slow = broadcast.subscribe();
  assert(await settled(broadcast.publish(1, 6)));
  const second = broadcast.publish(2, 6);
  assert(!await settled(second));
  assertEquals([await fast.next(), await fast.next()], [1, 2]);
  assert(!await settled(second));
  assertEquals(await slow.next(), 1);
  assert(await settled(second));
  assertEquals(await slow.next(), 2);
});

Deno.test("Broadcast forgets a reader that goes, with what it held back", async () => {
  const broadcast = new Broadcast<number>(10);
  const reader = broadcast.subscribe();
  const held = broadcast.publish(1, 20);
  assert(!await settled(held));
  reader.close();
  assert(await settled(held));
  assertEquals([broadcast.readers, await reader.next()], [0, undefined]);
});

Deno.test("Broadcast drops what nobody reads, and a late reader starts there", async () => {
  const broadcast = new Broadcast<number>(1);
  await broadcast.publish(1, 100);
  using reader = broadcast.subscribe();
  void broadcast.publish(2, 100);
  assertEquals(await reader.next(), 2);
});

Deno.test("Broadcast.finish() gives the last item after all others, room or not", async () => {
  const broadcast = new Broadcast<number>(1);
  const reader = broadcast.subscribe();
  const held = broadcast.publish(1, 5);
  broadcast.finish(9);
  await held;
  assertEquals([await reader.next(), await reader.next(), await reader.next()], [1, 9, undefined]);
  await broadcast.publish(10, 1);
  assertEquals(await reader.next(), undefined);
});

Deno.test("Subscription.next() tells silence and wakes for an item and for the end", async () => {
  const broadcast = new Broadcast<number>();
  const reader = broadcast.subscribe();
  assertEquals(await reader.next(1), IDLE);
  const next = reader.next();
  void broadcast.publish(3, 1);
  assertEquals(await next, 3);
  const end = reader.next(60_000);
  reader.close();
  assertEquals(await end, undefined);
});
