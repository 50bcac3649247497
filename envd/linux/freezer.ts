/**
 * Freezing what envd has started, with everything that came of it, by cgroup v2 (cgroup.freeze). envd sits in a group of
 * its own, where its children are born; they are moved into another one when that is to be frozen, until nobody new
 * appears.
 */
import { delay } from "@wrenn/common/clock";
import { logger } from "@wrenn/common/log";

/** Stops and continues the guest's processes. */
export interface Freezer {
  /** Freezes them. Answers how many there are. */
  freeze(): Promise<number>;
  /** Lets them go on. */
  thaw(): void;
  /** Whether there are any; true when nobody can tell. */
  populated(): boolean;
  /** Kills them, also those whose parent has ended. */
  killAll(): void;
}

const ROOT = "/sys/fs/cgroup";
const OWN = `${ROOT}/wrenn`;
const USERS = `${ROOT}/user`;
const FROZEN_LIMIT_MS = 2_000;
/** Processes that multiply faster than they are moved are frozen all the same, but for the newest. */
const MAX_ROUNDS = 50;
const log = logger("envd", "freezer");

/** The freezer of this guest. Where there is no cgroup v2 of its own, nothing is frozen, and the log says so. */
export function openFreezer(): Freezer {
  try {
    // Elsewhere folders can be made as well, which freeze nothing and stay.
    Deno.lstatSync(`${ROOT}/cgroup.procs`);
    for (const folder of [OWN, USERS]) {
      try {
        Deno.mkdirSync(folder);
      } catch (error) {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      }
    }
    Deno.writeTextFileSync(`${OWN}/cgroup.procs`, "0");
    return new CgroupFreezer();
  } catch (error) {
    log.warn("Processes cannot be frozen", { error });
    return {
      freeze: () => Promise.resolve(0),
      thaw: () => {},
      populated: () => true,
      killAll: () => {},
    };
  }
}

class CgroupFreezer implements Freezer {
  #frozen = false;

  async freeze(): Promise<number> {
    moveChildren();
    const pids = pidsOf(USERS);
    if (pids.length === 0) return 0;
    Deno.writeTextFileSync(`${USERS}/cgroup.freeze`, "1");
    this.#frozen = true;
    // A child that was born while its parent was moved.
    moveChildren();
    const deadline = performance.now() + FROZEN_LIMIT_MS;
    while (!/^frozen 1$/m.test(Deno.readTextFileSync(`${USERS}/cgroup.events`))) {
      if (performance.now() > deadline) {
        log.warn("Some process does not freeze", { pids });
        break;
      }
      await delay(1);
    }
    return pids.length;
  }

  thaw(): void {
    if (!this.#frozen) return;
    Deno.writeTextFileSync(`${USERS}/cgroup.freeze`, "0");
    this.#frozen = false;
  }

  killAll(): void {
    moveChildren();
    // Kernel 5.14 and later; a child that is born meanwhile is killed, too.
    if (pidsOf(USERS).length > 0) Deno.writeTextFileSync(`${USERS}/cgroup.kill`, "1");
  }

  populated(): boolean {
    return pidsOf(OWN).length > 1 || pidsOf(USERS).length > 0;
  }
}

/** Moves everything of envd's group but envd. */
function moveChildren(): void {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const children = pidsOf(OWN).filter((pid) => pid !== Deno.pid);
    if (children.length === 0) return;
    for (const pid of children) {
      try {
        Deno.writeTextFileSync(`${USERS}/cgroup.procs`, String(pid));
      } catch (error) {
        // It has ended meanwhile.
        log.debug("Cannot move a process", { pid, error });
      }
    }
  }
}

function pidsOf(group: string): number[] {
  return Deno.readTextFileSync(`${group}/cgroup.procs`).split("\n")
    .filter((line) => line !== "").map(Number);
}
