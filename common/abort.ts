/** Signals that follow others. */

/** A signal that aborts with the first of its sources, until it is let go. */
export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
  /** Aborts it alone; its sources are untouched. */
  abort(reason?: unknown): void;
}

/**
 * Follows several signals. Unlike the result of `AbortSignal.any()`, which Deno 2.9 may forget while a Connect
 * stream still waits for it (denoland/deno#29075), it lives as long as its sources or until it is disposed of.
 *
 * @example
 * ```ts
 * using call = linkSignals(request.signal, shutdown.signal);
 * for await (const message of client.watch({}, { signal: call.signal })) handle(message);
 * ```
 */
export function linkSignals(...sources: readonly AbortSignal[]): LinkedSignal {
  const controller = new AbortController();
  const dispose = (): void => {
    for (const source of sources) source.removeEventListener("abort", follow);
  };
  function follow(this: AbortSignal): void {
    dispose();
    controller.abort(this.reason);
  }
  const aborted = sources.find((source) => source.aborted);
  if (aborted) controller.abort(aborted.reason);
  else for (const source of sources) source.addEventListener("abort", follow);
  return {
    signal: controller.signal,
    abort: (reason) => {
      dispose();
      controller.abort(reason);
    },
    [Symbol.dispose]: dispose,
  };
}
