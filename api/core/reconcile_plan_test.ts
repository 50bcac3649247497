import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { SandboxStatus } from "../services/types.ts";
import {
  GRACE_MS,
  type HostView,
  type KnownSandbox,
  type LiveSandbox,
  planReconcile,
  type Repair,
} from "./reconcile_plan.ts";
import { canMove, hasEnded, STATUSES } from "./sandbox_states.ts";

const NOW = 10_000_000;
const OLD = NOW - 2 * GRACE_MS;
const HOST = "host-00000001";

function row(fields: Partial<KnownSandbox> = {}): KnownSandbox {
  return {
    id: "sb-00000001",
    hostId: HOST,
    executionId: "e1",
    status: "running",
    version: 3,
    createdAt: OLD,
    changedAt: OLD,
    lastActiveAt: OLD,
    stopRequested: false,
    ...fields,
  };
}

function live(fields: Partial<LiveSandbox> = {}): LiveSandbox {
  return {
    id: "sb-00000001",
    executionId: "e1",
    status: "running",
    createdAt: OLD,
    lastActiveAt: OLD,
    reason: undefined,
    ...fields,
  };
}

function view(sandboxes: LiveSandbox[] | undefined, fields: Partial<HostView> = {}): HostView {
  return {
    hostId: HOST,
    sandboxes,
    listedAt: NOW,
    now: NOW,
    reachableForMs: 60_000,
    ...fields,
  };
}

/** Kinds and targets of a plan, short enough to compare. */
function brief(repairs: Repair[]): string[] {
  return repairs.map((r) => r.kind === "move" ? `move ${r.to}` : r.kind);
}
const plan = (rows: KnownSandbox[], host: HostView): string[] => brief(planReconcile(rows, host));

Deno.test("a host that does not answer proves nothing", () => {
  const rows = STATUSES.map((status) => row({ status, stopRequested: true }));
  assertEquals(plan(rows, view(undefined)), []);
});

Deno.test("what agrees is left alone", () => {
  assertEquals(plan([row()], view([live()])), []);
  assertEquals(plan([row({ status: "stopped" })], view([live({ status: "stopped" })])), []);
  assertEquals(plan([row({ status: "error" })], view([])), []);
});

Deno.test("a young row that the host does not have is left alone", () => {
  for (const status of ["pending", "starting"] as const) {
    assertEquals(plan([row({ status, createdAt: NOW - GRACE_MS })], view([])), []);
  }
});

Deno.test("an old row that never reached the host is an error", () => {
  for (const status of ["pending", "starting"] as const) {
    assertEquals(plan([row({ status, createdAt: NOW - GRACE_MS - 1 })], view([])), ["move error"]);
  }
});

Deno.test("a running row that the host does not have is an error, after asking once more", () => {
  const [repair] = planReconcile([row()], view([]));
  assert(repair?.kind === "move" && repair.to === "error" && repair.absent);
  assertEquals(repair.reason?.code, "host_unavailable");
});

Deno.test("a host that has just come back is not believed to have lost anything", () => {
  assertEquals(plan([row()], view([], { reachableForMs: 4999 })), []);
});

Deno.test("a paused or hibernated row that the host does not list is left alone", () => {
  for (const status of ["paused", "hibernated"] as const) {
    assertEquals(plan([row({ status })], view([])), []);
  }
});

Deno.test("a row that changed after the list was asked for is left alone", () => {
  for (const sandboxes of [[], [live({ status: "paused" })], [live({ status: "stopped" })]]) {
    assertEquals(plan([row({ changedAt: NOW })], view(sandboxes)), []);
  }
});

Deno.test("the state that the host has is written", () => {
  const cases: [SandboxStatus, LiveSandbox["status"], string[]][] = [
    ["pending", "starting", ["move starting"]],
    ["pending", "running", ["move running"]],
    ["starting", "running", ["move running"]],
    ["running", "paused", ["move paused"]],
    ["paused", "running", ["move running"]],
    ["starting", "paused", ["move running"]],
    ["running", "stopped", ["move stopped"]],
    ["paused", "stopped", ["move stopped"]],
    ["running", "error", ["move error"]],
    ["pending", "error", ["move error"]],
    ["running", "starting", []],
    ["paused", "hibernated", ["move hibernated"]],
    ["running", "hibernated", ["move paused"]],
    ["starting", "hibernated", ["move running"]],
    ["hibernated", "running", ["move running"]],
    ["hibernated", "paused", ["move running"]],
    ["hibernated", "stopped", ["move stopped"]],
  ];
  for (const [known, seen, expected] of cases) {
    const found = plan([row({ status: known })], view([live({ status: seen })]));
    assertEquals(found, expected, `${known} ${seen}`);
  }
});

Deno.test("why it ended on the host is kept", () => {
  const reason = { code: "timeout", message: "Idle for 300 s" };
  const [repair] = planReconcile([row()], view([live({ status: "stopped", reason })]));
  assert(repair?.kind === "move");
  assertEquals(repair.reason, reason);
});

Deno.test("what has ended in the database is ended on the host, this execution alone", () => {
  for (const status of ["stopped", "error"] as const) {
    const [repair] = planReconcile([row({ status })], view([live()]));
    assert(repair?.kind === "destroy" && repair.executionId === "e1");
  }
});

Deno.test("a stop that was asked for is finished", () => {
  const asked = row({ stopRequested: true });
  assertEquals(plan([asked], view([live()])), ["finish_stop"]);
  assertEquals(plan([asked], view([live({ status: "stopped" })])), ["move stopped"]);
  assertEquals(plan([asked], view([])), ["move stopped"]);
  assertEquals(plan([row({ status: "paused", stopRequested: true })], view([])), ["move stopped"]);
});

Deno.test("a sandbox that the database does not know is ended when it is older than the grace", () => {
  assertEquals(plan([], view([live()])), ["destroy"]);
  assertEquals(plan([], view([live({ createdAt: NOW - GRACE_MS })])), []);
  assertEquals(plan([], view([live({ status: "stopped" })])), []);
});

Deno.test("another execution is not the row's: it is ended, and the row counts as absent", () => {
  const other = live({ executionId: "e2" });
  assertEquals(plan([row()], view([other])), ["destroy", "move error"]);
  assertEquals(plan([row({ status: "paused" })], view([other])), ["destroy"]);
  const elsewhere = row({ hostId: "host-00000002" });
  assertEquals(plan([elsewhere], view([live()])), ["destroy"]);
});

Deno.test("activity is written when it is news", () => {
  assertEquals(plan([row()], view([live({ lastActiveAt: OLD + 10_001 })])), ["touch"]);
  assertEquals(plan([row()], view([live({ lastActiveAt: OLD + 10_000 })])), []);
});

const time = fc.constantFrom(OLD, NOW - 1000, NOW + 1000);
const rows: fc.Arbitrary<KnownSandbox[]> = fc.uniqueArray(
  fc.record({
    id: fc.constantFrom("a", "b", "c", "d"),
    hostId: fc.constantFrom(HOST, "host-00000002"),
    executionId: fc.constantFrom("e1", "e2"),
    status: fc.constantFrom(...STATUSES),
    version: fc.nat(3),
    createdAt: time,
    changedAt: time,
    lastActiveAt: time,
    stopRequested: fc.boolean(),
  }),
  { selector: (r) => r.id },
);
const sandboxes = fc.uniqueArray(
  fc.record({
    id: fc.constantFrom("a", "b", "c", "e"),
    executionId: fc.constantFrom("e1", "e2"),
    status: fc.constantFrom("starting", "running", "paused", "stopped", "error"),
    createdAt: time,
    lastActiveAt: time,
    reason: fc.constant(undefined),
  }),
  { selector: (s) => s.id },
) as fc.Arbitrary<LiveSandbox[]>;

/** Does what the executor would do, in a world of two lists, at a later time. */
function apply(repairs: Repair[], known: KnownSandbox[], seen: LiveSandbox[]): [
  KnownSandbox[],
  LiveSandbox[],
] {
  for (const repair of repairs) {
    known = known.map((r): KnownSandbox => {
      if (r.id !== repair.id) return r;
      switch (repair.kind) {
        case "touch":
          return { ...r, lastActiveAt: repair.lastActiveAt };
        case "destroy":
          return r;
        default: {
          const to = repair.kind === "move" ? repair.to : "stopped";
          assertEquals(r.version, repair.version);
          assert(canMove(r.status, to), `${r.status} ${to}`);
          // A move takes over what else the host says.
          const seenAt = seen.find((s) => s.id === r.id)?.lastActiveAt ?? 0;
          const lastActiveAt = Math.max(r.lastActiveAt, seenAt);
          return { ...r, status: to, version: r.version + 1, changedAt: NOW, lastActiveAt };
        }
      }
    });
    if (repair.kind === "destroy" || repair.kind === "finish_stop") {
      seen = seen.map((s) =>
        s.id === repair.id && s.executionId === repair.executionId ? { ...s, status: "stopped" } : s
      );
    }
  }
  return [known, seen];
}

Deno.test("two rounds of repairs always reach a plan that is empty", () => {
  fc.assert(fc.property(rows, sandboxes, (known, seen) => {
    for (let round = 1; round <= 2; round++) {
      const later = { listedAt: NOW + round * 10_000, now: NOW + round * 10_000 };
      [known, seen] = apply(planReconcile(known, view(seen, later)), known, seen);
    }
    const last = { listedAt: NOW + 30_000, now: NOW + 30_000 };
    assertEquals(planReconcile(known, view(seen, last)), []);
  }));
});

Deno.test("no repair ends a sandbox that should live, or brings back one that has ended", () => {
  fc.assert(fc.property(rows, sandboxes, (known, seen) => {
    const find = (id: string): KnownSandbox | undefined => known.find((r) => r.id === id);
    for (const repair of planReconcile(known, view(seen))) {
      const r = find(repair.id);
      if (repair.kind === "destroy" && r?.hostId === HOST && r.executionId === repair.executionId) {
        assert(hasEnded(r.status));
      }
      if (repair.kind === "finish_stop") assert(r?.stopRequested);
      if (repair.kind === "move") {
        assert(r?.hostId === HOST && r.changedAt < NOW && canMove(r.status, repair.to));
      }
    }
  }));
});
