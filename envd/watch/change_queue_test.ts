import { assertEquals } from "@std/assert";
import { IDLE } from "../process/broadcast.ts";
import { ChangeQueue } from "./change_queue.ts";

Deno.test("ChangeQueue tells equal changes of a name that wait once", async () => {
  const queue = new ChangeQueue();
  for (const kind of ["create", "write", "write", "chmod", "write"] as const) {
    queue.push({ name: "a", kind });
    queue.push({ name: "b", kind: "write" });
  }
  assertEquals(queue.drain().map(({ name, kind }) => `${name} ${kind}`), [
    "a create",
    "b write",
    "a write",
    "a chmod",
    "a write",
  ]);
  queue.push({ name: "a", kind: "write" });
  assertEquals(await queue.next(1), { name: "a", kind: "write" });
  queue.push({ name: "a", kind: "write" });
  assertEquals(await queue.next(1), { name: "a", kind: "write" });
});

Deno.test("ChangeQueue tells a loss after what came before it, once", async () => {
  const queue = new ChangeQueue(1);
  queue.push({ name: "a", kind: "write" });
  queue.push({ name: "b", kind: "write" });
  assertEquals(queue.takeLost(), false);
  assertEquals(await queue.next(60_000), { name: "a", kind: "write" });
  assertEquals(await queue.next(60_000), IDLE);
  assertEquals([queue.takeLost(), queue.takeLost()], [true, false]);
});

Deno.test("ChangeQueue.next() wakes for a change and for the end", async () => {
  const queue = new ChangeQueue();
  assertEquals(await queue.next(1), IDLE);
  const next = queue.next(60_000);
  queue.push({ name: "a", kind: "remove" });
  assertEquals(await next, { name: "a", kind: "remove" });
  const end = queue.next(60_000);
  queue.close();
  assertEquals(await end, undefined);
});
