/** Limits on what a machine reads, writes, sends and receives, as Firecracker's token buckets. */
import type { RateLimiter, TokenBucket } from "../vmm/firecracker/api_types.ts";

/** Limit of one device and direction. What is absent is not limited. */
export interface IoLimit {
  /** Bytes per second. */
  readonly bytesPerSecond?: number;
  /** Operations or packets per second. */
  readonly opsPerSecond?: number;
}

/** Limits of a machine. */
export interface IoLimits {
  /** Reads and writes of the root disk together. */
  readonly disk?: IoLimit;
  /** What the guest receives. */
  readonly receive?: IoLimit;
  /** What the guest sends. */
  readonly send?: IoLimit;
}

/** A bucket holds the tokens of this time, so that its size is the rate per second. */
const REFILL_MS = 1000;
/** Firecracker takes a bucket of no size for one that is taken away. */
const NO_LIMIT: TokenBucket = { size: 0, refill_time: 0 };

/**
 * The limiter of a new device; undefined when nothing is limited.
 *
 * @throws {RangeError} When a rate is not a whole number from 1 on.
 */
export function rateLimiter(limit: IoLimit = {}): RateLimiter | undefined {
  const { bytesPerSecond, opsPerSecond } = limit;
  if (bytesPerSecond === undefined && opsPerSecond === undefined) return undefined;
  return {
    ...(bytesPerSecond === undefined ? {} : { bandwidth: bucket(bytesPerSecond) }),
    ...(opsPerSecond === undefined ? {} : { ops: bucket(opsPerSecond) }),
  };
}

/**
 * The limiter that replaces another one, of which nothing stays.
 *
 * @throws {RangeError} When a rate is not a whole number from 1 on.
 */
export function replacedRateLimiter({ bytesPerSecond, opsPerSecond }: IoLimit = {}): RateLimiter {
  return {
    bandwidth: bytesPerSecond === undefined ? NO_LIMIT : bucket(bytesPerSecond),
    ops: opsPerSecond === undefined ? NO_LIMIT : bucket(opsPerSecond),
  };
}

function bucket(perSecond: number): TokenBucket {
  if (!Number.isSafeInteger(perSecond) || perSecond < 1) {
    throw new RangeError(`Not a rate per second: ${perSecond}`);
  }
  return { size: perSecond, refill_time: REFILL_MS };
}
