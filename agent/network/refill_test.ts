import { delay } from "@wrenn/common";
import { assert, assertEquals } from "@std/assert";
import { Refill, type RefillStep } from "./refill.ts";

/** Gives each step the next of these results. */
function scripted(results: RefillStep[]): { steps: number; step: () => Promise<RefillStep> } {
  const script = {
    steps: 0,
    step: async (): Promise<RefillStep> => {
      script.steps++;
      await delay(1);
      return results.shift() ?? "idle";
    },
  };
  return script;
}

Deno.test("Refill works until it is idle, one step at a time, and not before the caller goes on", async () => {
  let running = 0;
  let most = 0;
  let left = 5;
  const refill = new Refill(async () => {
    most = Math.max(most, ++running);
    await delay(2);
    running--;
    return left-- > 0 ? "done" : "idle";
  });
  refill.kick();
  refill.kick();
  await Promise.resolve();
  assertEquals([left, await refill.settled()], [5, false]);
  await delay(150);
  assertEquals([left, most], [-1, 1]);
  await refill.stop();
});

Deno.test("Refill forgets no kick that comes while it runs", async () => {
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  let steps = 0;
  const refill = new Refill(async () => {
    if (++steps === 1) await held;
    return "idle";
  });
  refill.kick();
  await delay(80);
  refill.kick();
  letGo();
  await delay(120);
  assertEquals(steps, 2);
  await refill.stop();
});

Deno.test("Refill pauses after a failure, and stop() does not wait for the pause", async () => {
  const script = scripted(["done", "failed", "done"]);
  const refill = new Refill(script.step);
  refill.kick();
  await delay(200);
  assertEquals(script.steps, 2);
  const began = performance.now();
  await refill.stop();
  assert(performance.now() - began < 200);
  refill.kick();
  await delay(80);
  assertEquals(script.steps, 2);
});

Deno.test("Refill.stop() waits for the step that runs", async () => {
  let ended = false;
  const refill = new Refill(async () => {
    await delay(100);
    ended = true;
    return "done";
  });
  refill.kick();
  await delay(70);
  assert(!ended);
  await refill.stop();
  assert(ended);
});
