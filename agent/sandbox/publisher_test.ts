import { assertEquals, assertRejects } from "@std/assert";
import { WrennError } from "@wrenn/common";
import { Publisher } from "./publisher.ts";

Deno.test("Publisher sends every item from the subscription on, in order", async () => {
  const publisher = new Publisher<number>();
  publisher.publish(0);
  const stop = new AbortController();
  const items = publisher.subscribe(stop.signal);
  publisher.publish(1);
  publisher.publish(2);
  assertEquals((await items.next()).value, 1);
  assertEquals((await items.next()).value, 2);
  const third = items.next();
  publisher.publish(3);
  assertEquals((await third).value, 3);
  stop.abort();
  assertEquals((await items.next()).done, true);
  assertEquals(publisher.subscribers, 0);
});

Deno.test("Publisher cuts a slow subscriber off with an error", async () => {
  const publisher = new Publisher<number>(3);
  const items = publisher.subscribe(new AbortController().signal);
  for (let n = 0; n < 10; n++) publisher.publish(n);
  assertEquals(publisher.subscribers, 0);
  const seen: number[] = [];
  const error = await assertRejects(async () => {
    for await (const item of items) seen.push(item);
  }, WrennError);
  assertEquals(error.code, "unavailable");
  assertEquals(seen, [0, 1, 2]);
});

Deno.test("Publisher forgets a subscriber that leaves", async () => {
  const publisher = new Publisher<number>();
  const items = publisher.subscribe(new AbortController().signal);
  publisher.publish(1);
  for await (const _ of items) break;
  assertEquals(publisher.subscribers, 0);
});

Deno.test("Publisher ends its subscriptions after what is queued", async () => {
  const publisher = new Publisher<number>();
  const items = publisher.subscribe(new AbortController().signal);
  publisher.publish(7);
  publisher.end();
  const seen: number[] = [];
  for await (const item of items) seen.push(item);
  assertEquals(seen, [7]);
  for await (const _ of publisher.subscribe(new AbortController().signal)) seen.push(0);
  assertEquals(seen, [7]);
});
