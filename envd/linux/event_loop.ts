/** The runtime's event loop as a descriptor that poll(2) takes: readable when the loop has something to do (epoll(7)). */

/**
 * Descriptors of this process's event loops. The runtime's own stays as long as the process lives; ask before a watcher,
 * which has one for a time, is started. Timers are not among what they tell.
 */
export function eventLoopFds(): readonly number[] {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name).filter(isEventLoop)
    .map(Number);
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
