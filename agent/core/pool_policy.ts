/** How many warm machines of one template and size a host keeps: from demand, memory and limits. */

/** What the decision depends on. */
export interface PoolView {
  /** Machines that are kept whatever happens, as long as there is memory. */
  readonly min: number;
  /** Machines that are never exceeded. */
  readonly max: number;
  /** Creates per second that asked for this size lately. */
  readonly arrivalsPerSec: number;
  /** Seconds until a claimed machine is replaced. */
  readonly refillSec: number;
  /** Warm machines that are there. */
  readonly ready: number;
  /** Memory that the host could still give out, MiB. */
  readonly availableMb: number;
  /** Memory that stays free, MiB. */
  readonly reserveMb: number;
  /** What one warm machine takes, MiB. */
  readonly entryMb: number;
}

/** Half of an arrival is forgotten after this time. */
const HALF_LIFE_MS = 30_000;
/** Demand comes in bursts: twice of what arrives while one machine is made. */
const HEADROOM = 2;

/** How many warm machines there should be. Below `ready`: machines are to be dropped. */
export function poolTarget(view: PoolView): number {
  const { min, max, arrivalsPerSec, refillSec, ready, availableMb, reserveMb, entryMb } = view;
  const demand = Math.ceil(arrivalsPerSec * refillSec * HEADROOM);
  const wanted = Math.min(max, Math.max(min, demand));
  const room = Math.floor((availableMb - reserveMb) / entryMb);
  // What there is has its memory already; a host that is short gives machines back.
  return Math.max(0, Math.min(wanted, ready + room));
}

/** A rate of arrivals that forgets: creates per second, as of a moment. */
export interface ArrivalRate {
  readonly perSec: number;
  readonly atMs: number;
}

/** No arrival so far. */
export const NO_ARRIVALS: ArrivalRate = { perSec: 0, atMs: 0 };

/** The rate at a later moment. */
export function decayed(rate: ArrivalRate, nowMs: number): ArrivalRate {
  const elapsed = Math.max(0, nowMs - rate.atMs);
  return { perSec: rate.perSec * 2 ** (-elapsed / HALF_LIFE_MS), atMs: nowMs };
}

/** The rate after one more arrival. In the long run its mean is the number of arrivals per second. */
export function arrived(rate: ArrivalRate, nowMs: number): ArrivalRate {
  const { perSec } = decayed(rate, nowMs);
  return { perSec: perSec + Math.LN2 / (HALF_LIFE_MS / 1000), atMs: nowMs };
}
