import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type AdmissionView, admit, type SandboxRequest } from "./admission.ts";
import { isFinal, next, type SandboxEvent, type SandboxState } from "./sandbox_state.ts";

const LIVE: SandboxState[] = ["starting", "running", "paused", "hibernated"];
const FINAL: SandboxState[] = ["stopped", "error"];
const REQUESTS = ["use", "ping", "pause", "hibernate", "resume", "capture", "rollback"] as const;

function view(state: SandboxState, stopping: boolean = false): AdmissionView {
  return { state, executionId: "e1", stopping };
}

function outcome(request: SandboxRequest, of: AdmissionView): string {
  const admission = admit(request, of);
  return admission.kind === "deny" ? admission.code : admission.kind;
}

Deno.test("admit() makes create idempotent by execution", () => {
  const create: SandboxRequest = { kind: "create", executionId: "e1" };
  assertEquals(outcome(create, view("starting")), "wait");
  assertEquals(outcome(create, view("running")), "ignore");
  assertEquals(outcome(create, view("paused")), "ignore");
  assertEquals(outcome(create, view("hibernated")), "ignore");
});

Deno.test("admit() never starts an ended execution again", () => {
  for (const state of FINAL) {
    assertEquals(outcome({ kind: "create", executionId: "e1" }, view(state)), "conflict");
  }
  assertEquals(outcome({ kind: "create", executionId: "e1" }, view("running", true)), "conflict");
});

Deno.test("admit() gives an id to another execution only when it is free", () => {
  for (const state of LIVE) {
    assertEquals(outcome({ kind: "create", executionId: "e2" }, view(state)), "conflict");
  }
  for (const state of FINAL) {
    assertEquals(outcome({ kind: "create", executionId: "e2" }, view(state)), "accept");
  }
});

Deno.test("admit() makes destroy idempotent in every state", () => {
  const destroy: SandboxRequest = { kind: "destroy", executionId: "" };
  for (const state of LIVE) {
    assertEquals(outcome(destroy, view(state)), "accept");
    assertEquals(outcome(destroy, view(state, true)), "wait");
  }
  for (const state of FINAL) assertEquals(outcome(destroy, view(state)), "ignore");
});

Deno.test("admit() refuses to destroy another execution", () => {
  for (const state of [...LIVE, ...FINAL]) {
    assertEquals(outcome({ kind: "destroy", executionId: "e2" }, view(state)), "conflict");
  }
});

Deno.test("admit() makes pause, hibernate and resume idempotent", () => {
  const outcomes = (kind: "pause" | "hibernate" | "resume") =>
    (["running", "paused", "hibernated"] as const).map((state) => outcome({ kind }, view(state)));
  assertEquals(outcomes("pause"), ["accept", "ignore", "ignore"]);
  assertEquals(outcomes("hibernate"), ["accept", "accept", "ignore"]);
  assertEquals(outcomes("resume"), ["ignore", "accept", "accept"]);
});

Deno.test("admit() captures what has a machine and rolls back what lives", () => {
  const outcomes = (kind: "capture" | "rollback") =>
    LIVE.map((state) => outcome({ kind }, view(state)));
  assertEquals(outcomes("capture"), ["sandbox_not_running", "accept", "accept", "sandbox_paused"]);
  assertEquals(outcomes("rollback"), ["sandbox_not_running", "accept", "accept", "accept"]);
});

Deno.test("admit() lets only running sandboxes be used", () => {
  for (const kind of ["use", "ping"] as const) {
    assertEquals(outcome({ kind }, view("running")), "accept");
    assertEquals(outcome({ kind }, view("paused")), "sandbox_paused");
    assertEquals(outcome({ kind }, view("hibernated")), "sandbox_paused");
    for (const state of ["starting", ...FINAL] as SandboxState[]) {
      assertEquals(outcome({ kind }, view(state)), "sandbox_not_running");
    }
  }
});

Deno.test("admit() denies all but destroy and create once a destroy is queued", () => {
  for (const state of LIVE) {
    for (const kind of REQUESTS) {
      assertEquals(outcome({ kind }, view(state, true)), "sandbox_not_running");
    }
  }
});

Deno.test("admit() and next() agree over random sequences of requests", () => {
  const request: fc.Arbitrary<SandboxRequest> = fc.oneof(
    fc.record({ kind: fc.constant("create" as const), executionId: fc.constantFrom("e1", "e2") }),
    fc.record({
      kind: fc.constant("destroy" as const),
      executionId: fc.constantFrom("", "e1", "e2"),
    }),
    fc.record({ kind: fc.constantFrom(...REQUESTS) }),
  );
  const step = fc.oneof(request, fc.constantFrom("started" as const, "failed" as const));
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    let now: AdmissionView = view("starting");
    for (const s of steps) {
      if (typeof s === "string") {
        const state = next(now.state, s);
        if (state !== undefined) now = { ...now, state, stopping: false };
        continue;
      }
      const admission = admit(s, now);
      if (admission.kind === "ignore" || admission.kind === "deny") continue;
      if (admission.kind === "wait") {
        assert(now.state === "starting" || now.stopping, "There is nothing to wait for");
        continue;
      }
      if (s.kind === "use") assertEquals(now.state, "running");
      if (s.kind === "create") {
        assert(isFinal(now.state), "A live sandbox was replaced");
        now = { state: "starting", executionId: s.executionId, stopping: false };
        continue;
      }
      for (const event of eventsOf(s.kind, now.state)) {
        const state = next(now.state, event);
        assert(state !== undefined, `${s.kind} was accepted in state ${now.state}`);
        now = { ...now, state };
      }
    }
  }));
});

/** What performing an accepted request does to the state. */
function eventsOf(kind: SandboxRequest["kind"], state: SandboxState): SandboxEvent[] {
  switch (kind) {
    case "destroy":
      return ["destroyed"];
    case "pause":
      return ["paused"];
    case "hibernate":
      return state === "running" ? ["paused", "hibernated"] : ["hibernated"];
    case "resume":
      return ["resumed"];
    case "rollback":
      return state === "running" ? [] : ["resumed"];
    default:
      return [];
  }
}
