import { assert, assertEquals } from "@std/assert";
import { hasCode, WrennError } from "@wrenn/common";
import { fromDatabaseError, isConnectionLoss, isUnsent, sqlState } from "./errors.ts";

function driverError(message: string, fields: Record<string, string> = {}): Error {
  return Object.assign(new Error(message), fields);
}
const state = (code: string): Error => driverError("x", { code, severity: "ERROR" });

Deno.test("fromDatabaseError() maps what a caller can act on", () => {
  const cases: [Error, string][] = [
    [state("23505"), "already_exists"],
    [state("40001"), "conflict"],
    [state("40P01"), "conflict"],
    [state("57P01"), "unavailable"],
    [state("08006"), "unavailable"],
    [state("53300"), "unavailable"],
    [state("57014"), "unavailable"],
    [state("42601"), "internal"],
    [driverError("Connection terminated unexpectedly"), "unavailable"],
    [driverError("connect ECONNREFUSED", { code: "ECONNREFUSED" }), "unavailable"],
    [driverError("Query read timeout"), "unavailable"],
  ];
  for (const [error, code] of cases) {
    const mapped = fromDatabaseError(error);
    assert(hasCode(mapped, code as "internal"), `${error.message} ${sqlState(error)}`);
    assert(mapped.cause === error);
  }
});

Deno.test("fromDatabaseError() passes errors that are not the database's", () => {
  for (const error of [new WrennError("conflict", "No"), new TypeError("x"), "text"]) {
    assertEquals(fromDatabaseError(error), error);
  }
});

Deno.test("isUnsent() is true for a write to a closed socket alone", () => {
  assert(isUnsent(driverError("write EPIPE", { code: "EPIPE" })));
  assert(!isUnsent(driverError("read ECONNRESET", { code: "ECONNRESET" })));
  assert(isConnectionLoss(driverError("read ECONNRESET", { code: "ECONNRESET" })));
});
