/** What request headers say beside the message: the user, the keepalive interval, the kill deadline. */
import { WrennError } from "@wrenn/common/errors";

/** Keepalive interval of clients that ask for none, in milliseconds. */
const DEFAULT_KEEPALIVE_MS = 90_000;
/** Longest delay of a timer (2^31 - 1 ms, 24 days); longer deadlines count as none. */
export const MAX_TIMER_MS = 2_147_483_647;

/**
 * User name of `Authorization: Basic base64("user:")`; undefined when there is no such header.
 *
 * @throws {WrennError} `invalid_user` when the header cannot be read.
 */
export function requestUser(headers: Headers): string | undefined {
  const header = headers.get("authorization");
  const encoded = header === null ? undefined : /^basic\s+(\S+)$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(encoded));
    return text.split(":")[0] || undefined;
  } catch (cause) {
    throw new WrennError("invalid_user", "Credentials are not readable", {
      cause,
    });
  }
}

/** Milliseconds of silence after which a keepalive is sent, from `Keepalive-Ping-Interval` in seconds. */
export function keepaliveMs(headers: Headers): number {
  const seconds = Number(headers.get("keepalive-ping-interval") ?? "");
  return seconds > 0 ? Math.min(seconds * 1000, MAX_TIMER_MS) : DEFAULT_KEEPALIVE_MS;
}

/** Kill deadline of a started process, from `Connect-Timeout-Ms`; 0 is none. */
export function deadlineMs(headers: Headers): number {
  const text = headers.get("connect-timeout-ms") ?? "";
  const ms = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  return ms > MAX_TIMER_MS ? 0 : ms;
}
