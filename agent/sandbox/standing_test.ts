import { assertEquals, assertThrows } from "@std/assert";
import { logger, systemClock, WrennError } from "@wrenn/common";
import { Standing } from "./standing.ts";

/** A standing whose disk is full when told so, what was written down, and how often it was told of a change. */
function setUp(): {
  standing: Standing;
  saved: string[];
  host: { full: boolean; changes: number };
} {
  const host = { full: false, changes: 0 };
  const saved: string[] = [];
  const standing = new Standing({
    clock: systemClock,
    save: (state) => {
      if (host.full) throw new WrennError("no_space", "Full");
      saved.push(state);
    },
    changed: () => host.changes++,
    log: logger("agent", "sandbox"),
  });
  return { standing, saved, host };
}

Deno.test("move() changes nothing that cannot be written down", () => {
  const { standing, saved, host } = setUp();
  standing.move("started");
  host.full = true;
  assertThrows(() => standing.move("paused"), WrennError, "Full");
  assertEquals([standing.state, standing.pausedSinceMs, host.changes], ["running", undefined, 1]);
  assertThrows(() => standing.move("hibernated"), Error, "cannot happen");
  host.full = false;
  standing.move("paused");
  assertEquals([standing.state, saved, host.changes], ["paused", ["running", "paused"], 2]);
});

Deno.test("moveAnyway() is written down once there is room", () => {
  const { standing, saved, host } = setUp();
  standing.move("started");
  standing.saveAgain();
  host.full = true;
  standing.moveAnyway("paused", { code: "timeout", message: "Idle" });
  assertEquals([standing.state, standing.reason?.code, host.changes], ["paused", "timeout", 2]);
  standing.saveAgain();
  host.full = false;
  standing.saveAgain();
  standing.saveAgain();
  assertEquals(saved, ["running", "paused"]);
});
