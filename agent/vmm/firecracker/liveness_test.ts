import { assertEquals } from "@std/assert";
import { delay } from "@wrenn/common";
import { watchLiveness } from "./liveness.ts";

const TIMES = { everyMs: 1, answerMs: 7 };

Deno.test("watchLiveness() tells of the second question in a row without an answer, once", async () => {
  const answers = [true, false, true, false, false, false, false];
  const asked: number[] = [];
  const silent = Promise.withResolvers<unknown>();
  let told = 0;
  using _watch = watchLiveness(TIMES, (timeoutMs) => {
    asked.push(timeoutMs);
    return answers.shift() ? Promise.resolve() : Promise.reject(new Error("no answer"));
  }, (error) => {
    told++;
    silent.resolve(error);
  });
  assertEquals(String(await silent.promise), "Error: no answer");
  await delay(20);
  assertEquals([told, asked.length, new Set(asked)], [1, 5, new Set([7])]);
});

Deno.test("watchLiveness() is quiet once it is stopped, also while it waits for an answer", async () => {
  const answer = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  let [questions, told] = [0, 0];
  const watch = watchLiveness(TIMES, () => {
    if (++questions === 1) return Promise.reject(new Error("no answer"));
    asked.resolve();
    return answer.promise;
  }, () => void told++);
  await asked.promise;
  watch[Symbol.dispose]();
  answer.reject(new Error("closed"));
  await delay(20);
  assertEquals(told, 0);
});
