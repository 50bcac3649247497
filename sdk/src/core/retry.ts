/** When a request is sent again, and after how long. */

/** How one attempt ended. */
export type Outcome =
  /** The platform answered with this status. */
  | { readonly kind: "status"; readonly status: number; readonly retryAfterMs?: number | undefined }
  /** No answer came; `unsent` when the connection was refused, so that the platform saw nothing. */
  | { readonly kind: "failed"; readonly unsent: boolean };

/** What is known about the request. */
export interface RetryInput {
  /** Attempts made so far, 1 or more. */
  readonly attempts: number;
  /** Retries allowed after the first attempt. */
  readonly maxRetries: number;
  /** The same bytes can be sent again: false for a stream. */
  readonly replayable: boolean;
  /** Doing it twice is the same as doing it once. */
  readonly idempotent: boolean;
  /** Number in [0, 1). */
  readonly random: number;
}

/** First pause, milliseconds; each further one doubles. */
const BASE_MS = 100;
/** Longest pause of our own choice, milliseconds. */
const CAP_MS = 5_000;
/** Longest `Retry-After` that is obeyed; a longer one is left to the caller, milliseconds. */
const MAX_RETRY_AFTER_MS = 30_000;

/** Milliseconds to wait before the next attempt, or undefined when there is none. */
export function retryDelay(outcome: Outcome, input: RetryInput): number | undefined {
  if (!input.replayable || input.attempts > input.maxRetries) return undefined;
  if (!mayRetry(outcome, input.idempotent)) return undefined;
  const asked = outcome.kind === "status" ? outcome.retryAfterMs : undefined;
  if (asked !== undefined) return asked > MAX_RETRY_AFTER_MS ? undefined : asked;
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** (input.attempts - 1));
  return ceiling / 2 + (ceiling / 2) * input.random;
}

function mayRetry(outcome: Outcome, idempotent: boolean): boolean {
  if (outcome.kind === "failed") return outcome.unsent || idempotent;
  if (outcome.status === 429) return true; // refused before anything was done
  return outcome.status === 503 && idempotent;
}

/** `Retry-After` (seconds or an HTTP date) in milliseconds. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}

/** True when the error's chain says that the connection was never made. */
export function isUnsent(error: unknown): boolean {
  for (let e = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    const code = (e as { code?: unknown }).code;
    if (code === "ECONNREFUSED" || code === "ENOTFOUND" || code === "EAI_AGAIN") return true;
    if (/connection refused|ECONNREFUSED|dns error|failed to lookup/i.test(e.message)) return true;
  }
  return false;
}
