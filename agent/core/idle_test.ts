import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { idleAction, idleDeadlineMs, type IdleView } from "./idle.ts";

const IDLE: IdleView = {
  state: "running",
  timeoutSec: 10,
  onTimeout: "destroy",
  activeOperations: 0,
  lastActiveMs: 1000,
  pausedSec: 0,
  pausedMs: undefined,
};

Deno.test("idleAction() acts at the deadline and not before", () => {
  assertEquals(idleDeadlineMs(IDLE), 11_000);
  assertEquals(idleAction(IDLE, 10_999), "none");
  assertEquals(idleAction(IDLE, 11_000), "destroy");
  for (const onTimeout of ["pause", "hibernate"] as const) {
    assertEquals(idleAction({ ...IDLE, onTimeout }, 11_000), onTimeout);
  }
});

Deno.test("idleAction() spares sandboxes without a timeout, in use, or not running", () => {
  assertEquals(idleAction({ ...IDLE, timeoutSec: 0 }, 1e12), "none");
  assertEquals(idleAction({ ...IDLE, activeOperations: 1 }, 1e12), "none");
  for (const state of ["starting", "paused", "hibernated", "stopped", "error"] as const) {
    assertEquals(idleAction({ ...IDLE, state }, 1e12), "none");
  }
});

Deno.test("idleAction() hibernates what is paused for its time", () => {
  const paused: IdleView = { ...IDLE, state: "paused", pausedSec: 60, pausedMs: 5000 };
  assertEquals(idleAction(paused, 64_999), "none");
  assertEquals(idleAction(paused, 65_000), "hibernate");
  assertEquals(idleAction({ ...paused, pausedSec: 0 }, 1e12), "none");
});

Deno.test("idleAction() spares a sandbox for as long as activity goes on", () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 9_999 }));
  fc.assert(fc.property(gaps, (activity) => {
    let now = IDLE.lastActiveMs;
    for (const gap of activity) {
      const before = { ...IDLE, lastActiveMs: now };
      now += gap;
      assertEquals(idleAction(before, now), "none");
    }
    assertEquals(idleAction({ ...IDLE, lastActiveMs: now }, now + 10_000), "destroy");
  }));
});
