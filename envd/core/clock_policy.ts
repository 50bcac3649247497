/** When the guest's clock is set: late is never good, early is left to heal unless it is much. */

const MAX_BEHIND_NS = 50_000_000n;
const MAX_AHEAD_NS = 5_000_000_000n;

/** True when a clock that shows `own` must be set to `told`. Both in nanoseconds since the epoch. */
export function mustSetClock(own: bigint, told: bigint): boolean {
  const behind = told - own;
  return behind > MAX_BEHIND_NS || behind < -MAX_AHEAD_NS;
}
