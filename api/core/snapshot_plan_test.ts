import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type FoundSnapshot,
  type KnownSnapshot,
  planSnapshots,
  SNAPSHOT_GRACE_MS,
} from "./snapshot_plan.ts";

const NOW = 1_000_000_000;
const OLD = NOW - SNAPSHOT_GRACE_MS - 1;
const view = (...snapshots: FoundSnapshot[]) => ({ snapshots, listedAt: NOW, now: NOW });
const row = (status: KnownSnapshot["status"], createdAt = OLD): KnownSnapshot => ({
  id: "snap-1",
  status,
  createdAt,
});
const file = (createdAt = OLD): FoundSnapshot => ({ id: "snap-1", createdAt });

Deno.test("a snapshot that was deleted goes, whether its files are there or not", () => {
  const repair = { kind: "delete", id: "snap-1", why: "it was deleted" } as const;
  assertEquals(planSnapshots([row("deleting", NOW)], view()), [repair]);
  assertEquals(planSnapshots([row("deleting", NOW)], view(file(NOW))), [repair]);
});

Deno.test("a snapshot that is being made is left alone until it is late", () => {
  assertEquals(planSnapshots([row("creating", NOW)], view()), []);
  assertEquals(planSnapshots([row("creating", NOW)], view(file())), []);
  assertEquals(planSnapshots([row("creating")], view(file())), [{ kind: "finish", id: "snap-1" }]);
  const why = "it was never finished";
  assertEquals(planSnapshots([row("creating")], view()), [{ kind: "delete", id: "snap-1", why }]);
});

Deno.test("files without a row go once they are old", () => {
  assertEquals(planSnapshots([], view(file(NOW))), []);
  const why = "the database does not know it";
  assertEquals(planSnapshots([], view(file())), [{ kind: "delete", id: "snap-1", why }]);
});

Deno.test("planSnapshots() never deletes a snapshot that is ready", () => {
  const status = fc.constantFrom("creating", "ready", "deleting") as fc.Arbitrary<
    KnownSnapshot["status"]
  >;
  const id: fc.Arbitrary<string> = fc.constantFrom("a", "b", "c", "d");
  const createdAt = fc.integer({ min: 0, max: NOW });
  const rows = fc.uniqueArray(fc.record({ id, status, createdAt }), { selector: (r) => r.id });
  const files = fc.uniqueArray(fc.record({ id, createdAt }), { selector: (f) => f.id });
  fc.assert(fc.property(rows, files, (rows, files) => {
    const touched = planSnapshots(rows, view(...files)).map((repair) => repair.id);
    const ready = rows.filter((r) => r.status === "ready").map((r) => r.id);
    assertEquals(touched.filter((id) => ready.includes(id)), []);
    assertEquals(new Set(touched).size, touched.length);
  }));
});
