/** A VMM process in our hands: one that we started, or one that a dead agent left. */
import { delay, logger } from "@wrenn/common";
import { identify, type VmmMarks, type VmmProcess } from "./process_identity.ts";

/** How a process ended, as far as anybody can tell. */
export interface VmmEnd {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** A process that can be watched and killed. */
export interface VmmHandle {
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly ended: Promise<VmmEnd>;
  /** Sends SIGKILL to this very process; nothing when it has ended. */
  kill(): Promise<void>;
}

const POLL_MS = 200;
const log = logger("agent", "vmm");

/** Our own child: its pid cannot be another's before we have waited for it. */
export function childHandle(child: Deno.ChildProcess): VmmHandle {
  return {
    pid: child.pid,
    ended: child.status.then(({ code, signal }) =>
      signal === null ? { code, signal: undefined } : { code: undefined, signal }
    ),
    kill: () => {
      try {
        child.kill("SIGKILL");
      } catch (error) {
        log.debug("The process had ended already: {error}", { error });
      }
      return Promise.resolve();
    },
  };
}

/** Somebody else's child: looked at five times a second, and proven to be the same before it is signalled. */
export function strangerHandle(vmm: VmmProcess, marks: VmmMarks): VmmHandle {
  const same = async (): Promise<boolean> => {
    const seen = await identify(vmm.pid, marks);
    return seen?.startTicks === vmm.startTicks && seen.runDir === vmm.runDir;
  };
  const watch = async (): Promise<VmmEnd> => {
    while (await same()) {
      const timer = Promise.withResolvers<void>();
      Deno.unrefTimer(Number(setTimeout(timer.resolve, POLL_MS)));
      await timer.promise;
    }
    return { code: undefined, signal: undefined };
  };
  const ended = watch();
  return {
    pid: vmm.pid,
    ended,
    kill: async () => {
      if (!(await same())) return;
      try {
        Deno.kill(vmm.pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
      // Killing is quick; the watch may be half asleep.
      await Promise.race([ended, delay(POLL_MS)]);
    },
  };
}
