/** What the agent's warm pool has, and waiting until it is full again. */
import { delay } from "@wrenn/common";

/** The pool of the size that is measured. */
export interface PoolState {
  /** Warm machines that can be claimed. */
  readonly ready: number;
  readonly target: number;
  /** Creates that found a warm machine, since the agent started. */
  readonly hits: number;
  /** Creates that found none. */
  readonly misses: number;
  /** VMM processes that wait for a machine to bring back, and how many should. */
  readonly spares: { readonly ready: number; readonly target: number };
}

/** Reads the pool. */
export interface PoolGauge {
  /** Undefined when the agent keeps no pool of this size. */
  pool(): Promise<PoolState | undefined>;
}

/** How to wait. */
export interface PoolWait {
  readonly signal: AbortSignal;
  /** Machines that must be ready. */
  readonly least: number;
  /** Default three minutes: twenty machines under emulation. */
  readonly timeoutMs?: number;
  /** Time between two looks. Default 50 ms. */
  readonly pollMs?: number;
}

const TIMEOUT_MS = 180_000;
const POLL_MS = 50;

/** True when nothing is being refilled and as many machines as asked for are ready. */
export function isReady({ ready, target, spares }: PoolState, least: number): boolean {
  return ready >= least && ready >= target && spares.ready >= spares.target;
}

/**
 * Waits until the pool is full, so that its refill does not share the processor with what is measured.
 *
 * @throws When it does not fill in time.
 */
export async function untilReady(
  gauge: PoolGauge,
  { signal, least, timeoutMs = TIMEOUT_MS, pollMs = POLL_MS }: PoolWait,
): Promise<PoolState> {
  const start = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const state = await gauge.pool();
    if (state && isReady(state, least)) return state;
    if (performance.now() - start > timeoutMs) {
      const found = state ? `${state.ready} of ${Math.max(least, state.target)} ready` : "none";
      throw new Error(`The warm pool does not fill: ${found} after ${timeoutMs / 1000} s`);
    }
    await delay(pollMs, signal);
  }
}
