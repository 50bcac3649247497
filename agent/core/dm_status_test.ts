import { assertEquals, assertThrows } from "@std/assert";
import { readSnapshotStatus } from "./dm_status.ts";

Deno.test("readSnapshotStatus() tells a usable, a full and a lost disk", () => {
  assertEquals(readSnapshotStatus("0 8192 snapshot 1040/10296 16\n"), {
    state: "ok",
    usedSectors: 1040,
    totalSectors: 10296,
  });
  const none = { usedSectors: 0, totalSectors: 0 };
  assertEquals(readSnapshotStatus("0 8192 snapshot Overflow\n"), { state: "full", ...none });
  assertEquals(readSnapshotStatus("0 8192 snapshot Invalid\n"), { state: "lost", ...none });
});

Deno.test("readSnapshotStatus() refuses anything else", () => {
  const wrong = [
    "",
    "0 8192 linear",
    "0 8192 snapshot",
    "0 8192 snapshot Unknown",
    "snapshot 1/2 3",
  ];
  for (const text of [...wrong, "0 8192 error", "0 8192 snapshot 1/2 3\n8192 8 zero"]) {
    assertThrows(() => readSnapshotStatus(text), Error, "Not a snapshot's status");
  }
});
