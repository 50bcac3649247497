import { assertEquals, assertRejects } from "@std/assert";
import { CleanupStack } from "./cleanup.ts";

Deno.test("CleanupStack.run() undoes in reverse order, once", async () => {
  const done: string[] = [];
  const stack = new CleanupStack();
  stack.add(() => void done.push("first"));
  stack.add(() => void done.push("second"));
  await Promise.all([stack.run(), stack.run()]);
  assertEquals(done, ["second", "first"]);
});

Deno.test("CleanupStack.run() goes on after a failure and joins what failed", async () => {
  const done: string[] = [];
  const stack = new CleanupStack();
  stack.add(() => Promise.reject(new Error("a")), "a");
  stack.add(() => void done.push("between"));
  stack.add(() => {
    throw new Error("b");
  }, "b");
  const error = await assertRejects(() => stack.run(), AggregateError);
  assertEquals(error.errors.map((e) => e.message), ["Cannot undo 'b'", "Cannot undo 'a'"]);
  assertEquals(done, ["between"]);
});

Deno.test("CleanupStack.keep() leaves nothing to undo, and move() hands the steps on", async () => {
  const done: string[] = [];
  await using kept = new CleanupStack();
  kept.add(() => void done.push("kept"));
  kept.keep();
  const source = new CleanupStack();
  source.add(() => void done.push("moved"));
  const moved = source.move();
  await source.run();
  assertEquals(done, []);
  await moved.run();
  assertEquals(done, ["moved"]);
});

Deno.test("CleanupStack.add() performs a step at once when the stack has run", async () => {
  const done: string[] = [];
  const stack = new CleanupStack();
  await stack.run();
  stack.add(() => void done.push("late"));
  await stack.run();
  assertEquals(done, ["late"]);
});
