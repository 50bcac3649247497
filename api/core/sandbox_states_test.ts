import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { SandboxStatus } from "../services/types.ts";
import { canMove, hasEnded, statesBefore, STATUSES, TRANSITIONS } from "./sandbox_states.ts";

/** The whole table, written down once more: row = from, column = to, in the order of `ORDER`. */
const ORDER: SandboxStatus[] = [
  "pending",
  "starting",
  "running",
  "paused",
  "hibernated",
  "stopped",
  "error",
];
const EXPECTED: Record<SandboxStatus, string> = {
  pending: "-++--++",
  starting: "--+--++",
  running: "---+-++",
  paused: "--+-+++",
  hibernated: "--+--++",
  stopped: "-------",
  error: "-----+-",
};

Deno.test("canMove() allows exactly the table, for every pair of states", () => {
  assertEquals([...STATUSES].sort(), [...ORDER].sort());
  for (const from of ORDER) {
    const row = ORDER.map((to) => canMove(from, to) ? "+" : "-").join("");
    assertEquals(row, EXPECTED[from], `from ${from}`);
  }
});

Deno.test("statesBefore() is the table read the other way", () => {
  for (const from of ORDER) {
    for (const to of ORDER) assertEquals(statesBefore(to).includes(from), canMove(from, to));
  }
});

Deno.test("a sandbox that fails may always be stopped, and stopped is the end", () => {
  for (const status of ORDER.filter((s) => !hasEnded(s))) {
    assert(canMove(status, "error") && canMove(status, "stopped"), status);
  }
  assertEquals(TRANSITIONS.stopped, []);
});

Deno.test("any walk over the table ends within reach of stopped and never leaves it", () => {
  fc.assert(fc.property(fc.array(fc.nat(10), { maxLength: 50 }), (choices) => {
    let at: SandboxStatus = "pending";
    for (const choice of choices) {
      const next: readonly SandboxStatus[] = TRANSITIONS[at];
      const to = next[choice % Math.max(next.length, 1)];
      if (to === undefined) return assertEquals(at, "stopped");
      assert(at !== to, "a state does not follow itself");
      assert(!(hasEnded(at) && !hasEnded(to)), "what has ended does not live again");
      at = to;
    }
    assert(at === "stopped" || canMove(at, "stopped"));
  }));
});
