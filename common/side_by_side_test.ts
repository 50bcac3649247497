import { delay } from "@wrenn/common";
import { assertEquals, assertRejects } from "@std/assert";
import { sideBySide } from "./side_by_side.ts";

Deno.test("sideBySide() works on every item once, so many at a time", async () => {
  const done: number[] = [];
  let running = 0;
  let most = 0;
  await sideBySide([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    most = Math.max(most, ++running);
    await delay(2);
    running--;
    done.push(item);
  });
  assertEquals([done.toSorted(), most], [[1, 2, 3, 4, 5, 6, 7], 3]);
});

Deno.test("sideBySide() throws the first failure after what runs has ended", async () => {
  let ended = 0;
  const work = async (item: number): Promise<void> => {
    await delay(2 * item);
    if (item === 1) throw new Error("Broken");
    ended++;
  };
  await assertRejects(() => sideBySide([1, 2, 3, 4], 2, work), Error, "Broken");
  assertEquals(ended, 3);
});
