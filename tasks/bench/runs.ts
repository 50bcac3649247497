/** How often everything is measured. */

/** Numbers of runs. */
export interface Runs {
  /** Sandboxes of each row that makes one per sample, and of each mode. */
  readonly creates: number;
  /** Pauses and resumes. */
  readonly pauses: number;
  /** Sandboxes that hibernate and wake. */
  readonly hibernations: number;
  /** Bursts. */
  readonly bursts: number;
  /** Forks into eight. */
  readonly forks: number;
  /** Commands on a running sandbox. */
  readonly execs: number;
  /** Transfers in each direction. */
  readonly transfers: number;
  /** Sandboxes that are watched while they do nothing, where no pool says how many. */
  readonly idle: number;
  /** How long they are watched. */
  readonly idleSec: number;
  /** Creates one after the other without waiting for the pool. */
  readonly sustained: number;
  /** Sandboxes of the density run; a tenth of them keeps running. */
  readonly density: number;
}

/** Everything, with this many creates. */
export function fullRuns(creates: number): Runs {
  return {
    creates,
    pauses: 50,
    hibernations: 20,
    bursts: 3,
    forks: 5,
    execs: 200,
    transfers: 5,
    idle: 3,
    idleSec: 20,
    sustained: creates,
    density: 100,
  };
}

/** Enough to see that all of it works; the figures mean little. */
export const QUICK_RUNS: Runs = {
  creates: 5,
  pauses: 5,
  hibernations: 2,
  bursts: 1,
  forks: 1,
  execs: 20,
  transfers: 1,
  idle: 2,
  idleSec: 5,
  sustained: 5,
  density: 20,
};

/** The share of one round when the runs are spread over several, at least one of each. */
export function perRound(runs: Runs, rounds: number): Runs {
  const share = (n: number): number => Math.max(1, Math.ceil(n / rounds));
  return {
    ...runs,
    creates: share(runs.creates),
    pauses: share(runs.pauses),
    hibernations: share(runs.hibernations),
    bursts: share(runs.bursts),
    forks: share(runs.forks),
    execs: share(runs.execs),
    transfers: share(runs.transfers),
    sustained: share(runs.sustained),
  };
}
