/** Waiting for something to become true. */

/** Asks again and again until the answer is not undefined; throws after `limitMs`. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  limitMs: number = 30_000,
): Promise<T> {
  for (const start = performance.now();;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() - start > limitMs) {
      throw new Error(`Waited ${limitMs} ms in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
