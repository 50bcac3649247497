/** Starting the same work many times: at once, or one after the other at fixed times. */
import { delay } from "@wrenn/common";

/** One piece of work that has ended. */
export interface Launched<T> {
  /** When it was started, milliseconds after the first. */
  readonly startMs: number;
  /** When it had ended, milliseconds after the first was started. */
  readonly endMs: number;
  readonly outcome: PromiseSettledResult<T>;
}

/**
 * Starts `count` pieces of work, `gapMs` after each other whatever becomes of the earlier ones, and waits for all.
 *
 * @throws The signal's reason, after what had started has ended.
 */
export async function launch<T>(
  count: number,
  gapMs: number,
  work: (index: number) => Promise<T>,
  signal: AbortSignal,
): Promise<Launched<T>[]> {
  const began = performance.now();
  const since = (): number => performance.now() - began;
  const running: Promise<Launched<T>>[] = [];
  for (let index = 0; index < count; index++) {
    const wait = index * gapMs - since();
    // The clock decides, not the sum of the waits: a late start does not push the others.
    if (gapMs > 0 && wait > 0) await delay(wait, signal).catch(() => {});
    if (signal.aborted) break;
    const startMs = since();
    running.push(
      work(index).then(
        (value) => ({ status: "fulfilled" as const, value }),
        (reason) => ({ status: "rejected" as const, reason }),
      ).then((outcome) => ({ startMs, endMs: since(), outcome })),
    );
  }
  const ended = await Promise.all(running);
  signal.throwIfAborted();
  return ended;
}
