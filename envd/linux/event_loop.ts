/** The runtime's event loop as a descriptor that poll(2) takes: readable when the loop has something to do (epoll(7)). */

let found: readonly number[] | undefined;

/** Descriptors of this process's event loops; they stay as they are as long as it lives. Timers are not among what they tell. */
export function eventLoopFds(): readonly number[] {
  found ??= [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name).filter(isEventLoop)
    .map(Number);
  return found;
}

function isEventLoop(fd: string): boolean {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventpoll]";
  } catch (error) {
    // The one that reads the folder.
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
