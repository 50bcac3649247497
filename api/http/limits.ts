/** Bounds on what a client may send or leave hanging. */

/** Bounds of the HTTP side. Tests lower them. */
export interface ApiLimits {
  /** Whole JSON body, bytes. */
  readonly jsonBytes: number;
  /** Nesting of JSON bodies and messages. */
  readonly jsonDepth: number;
  /** Time for a whole JSON body, milliseconds. */
  readonly jsonTimeoutMs: number;
  /** Longest silence inside a streamed body, milliseconds. */
  readonly bodyIdleMs: number;
  /** All request headers together, bytes. */
  readonly headerBytes: number;
  /** Request target, bytes. */
  readonly urlBytes: number;
  /** Time for the first message of a WebSocket, milliseconds. */
  readonly firstMessageMs: number;
  /** One WebSocket message, bytes. */
  readonly messageBytes: number;
  /** WebSocket messages that wait for the guest before the client is held, bytes together. */
  readonly pendingBytes: number;
  /** Output that waits for a slow client before the guest is held, bytes. */
  readonly unsentBytes: number;
  /** Silence after which a WebSocket is pinged and, without an answer, closed, seconds. */
  readonly socketIdleSec: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** The limits in production. */
export const DEFAULT_LIMITS: ApiLimits = {
  jsonBytes: MIB,
  jsonDepth: 32,
  jsonTimeoutMs: 30_000,
  bodyIdleMs: 60_000,
  headerBytes: 32 * KIB,
  urlBytes: 16 * KIB,
  firstMessageMs: 10_000,
  messageBytes: MIB,
  pendingBytes: 4 * MIB,
  unsentBytes: MIB,
  socketIdleSec: 120,
};
