/** Waiting for something to become true. */
import { delay } from "@wrenn/common";

/** Asks again and again until the answer is not undefined; throws after `limitMs`, two minutes by default. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  limitMs: number = 120_000,
): Promise<T> {
  for (const began = performance.now();; await delay(100)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() - began > limitMs) {
      throw new Error(`Waited ${limitMs / 1000} s in vain for ${what}`);
    }
  }
}

/** Waits until a list is empty; the error tells what is still in it. */
export async function untilEmpty(
  what: string,
  list: () => Promise<string[]>,
  limitMs: number = 60_000,
): Promise<void> {
  let left: string[] = [];
  for (const began = performance.now();; await delay(100)) {
    left = await list();
    if (left.length === 0) return;
    if (performance.now() - began > limitMs) break;
  }
  throw new Error(`There is still ${what}:\n${left.join("\n")}`);
}
