import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  isFinal,
  next,
  type SandboxEvent,
  type SandboxState,
  TRANSITIONS,
} from "./sandbox_state.ts";

const STATES: SandboxState[] = [
  "starting",
  "running",
  "paused",
  "hibernated",
  "stopped",
  "error",
];
const EVENTS: SandboxEvent[] = [
  "started",
  "paused",
  "hibernated",
  "resumed",
  "failed",
  "destroyed",
];

Deno.test("next() follows the whole table and nothing else", () => {
  const legal: Record<string, SandboxState> = {
    "starting started": "running",
    "starting failed": "error",
    "starting destroyed": "stopped",
    "running paused": "paused",
    "running failed": "error",
    "running destroyed": "stopped",
    "paused resumed": "running",
    "paused hibernated": "hibernated",
    "hibernated resumed": "running",
    "hibernated failed": "error",
    "hibernated destroyed": "stopped",
    "paused failed": "error",
    "paused destroyed": "stopped",
  };
  for (const state of STATES) {
    for (const event of EVENTS) {
      assertEquals(next(state, event), legal[`${state} ${event}`], `${state} ${event}`);
    }
  }
});

Deno.test("next() leads out of no final state", () => {
  for (const state of STATES) {
    assertEquals(Object.keys(TRANSITIONS[state]).length === 0, isFinal(state));
  }
});

Deno.test("next() ends every life in a final state once destroyed or failed", () => {
  fc.assert(fc.property(fc.array(fc.constantFrom(...EVENTS)), (events) => {
    let state: SandboxState = "starting";
    let ended = false;
    for (const event of events) {
      const after = next(state, event);
      if (after === undefined) continue;
      assertEquals(ended, false, "A final state was left");
      state = after;
      ended = event === "failed" || event === "destroyed";
      assertEquals(isFinal(state), ended);
    }
  }));
});
