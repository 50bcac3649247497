import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@wrenn/common";
import { JobQueue } from "./job_queue.ts";

Deno.test("JobQueue performs jobs one at a time in their order, whatever fails", async () => {
  const queue = new JobQueue();
  const seen: string[] = [];
  let over = false;
  const failed: string[] = [];
  const loop = queue.run(() => over, (name) => failed.push(name), () => new Error("over"));
  const job = (name: string, ms: number) =>
    queue.add(name, async () => {
      seen.push(`${name} begins`);
      await delay(ms);
      seen.push(`${name} ends`);
    });
  const [first, second] = [job("a", 5), job("b", 0)];
  assertEquals([queue.has("b"), queue.has("c")], [true, false]);
  const broken = queue.add("c", () => Promise.reject(new Error("no")));
  await Promise.all([first, second]);
  await assertRejects(() => broken, Error, "no");
  assertEquals(seen, ["a begins", "a ends", "b begins", "b ends"]);
  assertEquals(failed, ["c"]);
  const late: Promise<void>[] = [];
  const last = queue.add("d", () => {
    over = true;
    late.push(queue.add("e", () => Promise.resolve()));
    return Promise.resolve();
  });
  await last;
  await loop;
  for (const each of late) await assertRejects(() => each, Error, "over");
});
