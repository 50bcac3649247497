/** What poll(2) takes and tells: an array of `struct pollfd`, 8 bytes each. */

export const POLLIN = 1;
export const POLLOUT = 4;
const ENTRY_BYTES = 8;
const EVENTS_AT = 4;
const REVENTS_AT = 6;

/** Asks for `events` of each descriptor that is not negative. */
export function pollEntries(fds: readonly number[], events: number): {
  entries: Uint8Array<ArrayBuffer>;
  count: bigint;
} {
  const there = fds.filter((fd) => fd >= 0);
  const entries = new Uint8Array(there.length * ENTRY_BYTES);
  const view = new DataView(entries.buffer);
  there.forEach((fd, i) => {
    view.setInt32(i * ENTRY_BYTES, fd, true);
    view.setInt16(i * ENTRY_BYTES + EVENTS_AT, events, true);
  });
  return { entries, count: BigInt(there.length) };
}

/** Whether something happened to the first descriptor. */
export function firstHappened(entries: Uint8Array<ArrayBuffer>): boolean {
  return new DataView(entries.buffer).getInt16(REVENTS_AT, true) !== 0;
}
