import { assert, assertEquals, assertRejects } from "@std/assert";
import { delay } from "@wrenn/common";
import { launch } from "./launch.ts";

const { signal } = new AbortController();

Deno.test("launch() starts all at once without a gap", async () => {
  let running = 0;
  let most = 0;
  const ended = await launch(9, 0, async (index) => {
    most = Math.max(most, ++running);
    await delay(20);
    running--;
    return index;
  }, signal);
  assertEquals(most, 9);
  assertEquals(
    ended.map(({ outcome }) => outcome.status === "fulfilled" ? outcome.value : undefined),
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
  );
});

Deno.test("launch() starts at fixed times, however long the earlier ones take", async () => {
  const ended = await launch(4, 40, (index) => delay(index === 0 ? 600 : 1), signal);
  const starts = ended.map(({ startMs }) => startMs);
  for (const [index, start] of starts.entries()) {
    assert(start >= index * 40 - 2, `${starts}`);
  }
  assert((ended[0]?.endMs ?? 0) > (ended[3]?.endMs ?? Infinity));
});

Deno.test("launch() keeps what failed beside what did not", async () => {
  const work = (index: number): Promise<number> =>
    index === 1 ? Promise.reject(new Error("No")) : Promise.resolve(index);
  const ended = await launch(3, 0, work, signal);
  assertEquals(ended.map(({ outcome }) => outcome.status), ["fulfilled", "rejected", "fulfilled"]);
});

Deno.test("launch() starts no more after the signal, and waits for what runs", async () => {
  const abort = new AbortController();
  let started = 0;
  let ended = 0;
  const work = async (): Promise<void> => {
    if (++started === 2) abort.abort(new Error("Enough"));
    await delay(20);
    ended++;
  };
  await assertRejects(() => launch(50, 5, work, abort.signal), Error, "Enough");
  assertEquals([started, ended], [2, 2]);
});
