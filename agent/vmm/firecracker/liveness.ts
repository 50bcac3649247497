/** Whether a process that lives still answers: one that is silent is as good as dead, and holds what it has. */

/** How often is asked, and how long is waited. */
export interface LivenessTimes {
  /** Milliseconds between an answer and the next question. */
  readonly everyMs: number;
  /** Milliseconds in which an answer has to come. */
  readonly answerMs: number;
}

/** Two questions in a row are left unanswered for half a minute before it counts: the host itself may have slept. */
export const LIVENESS: LivenessTimes = { everyMs: 5000, answerMs: 15_000 };

/** Questions in a row without an answer that make it silent. */
const MISSES = 2;

/**
 * Asks again and again until stopped.
 *
 * @param ask Rejects when no answer came in the time given. @param silent Called once, at the end.
 */
export function watchLiveness(
  { everyMs, answerMs }: LivenessTimes,
  ask: (timeoutMs: number) => Promise<void>,
  silent: (error: unknown) => void,
): Disposable {
  let stopped = false;
  let misses = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const next = (): void => {
    timer = setTimeout(check, everyMs);
    Deno.unrefTimer(Number(timer));
  };
  const check = async (): Promise<void> => {
    try {
      await ask(answerMs);
      misses = 0;
    } catch (error) {
      if (!stopped && ++misses >= MISSES) {
        stopped = true;
        silent(error);
      }
    }
    if (!stopped) next();
  };
  next();
  return {
    [Symbol.dispose]: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
