import { assertEquals } from "@std/assert";
import { STATUSES } from "./sandbox_states.ts";
import { expiresAt } from "./sandbox_expiry.ts";

const lastActiveAt = new Date(1_000_000);

Deno.test("expiresAt() is the last activity plus the timeout", () => {
  const deadline = expiresAt({ status: "running", timeoutSec: 60, lastActiveAt });
  assertEquals(deadline, new Date(1_060_000));
});

Deno.test("expiresAt() is undefined without a timeout", () => {
  for (const status of STATUSES) {
    assertEquals(expiresAt({ status, timeoutSec: 0, lastActiveAt }), undefined);
  }
});

Deno.test("expiresAt() is undefined while the sandbox does not run", () => {
  for (const status of ["paused", "hibernated", "stopped", "error"] as const) {
    assertEquals(expiresAt({ status, timeoutSec: 60, lastActiveAt }), undefined);
  }
});
