import { assertEquals } from "@std/assert";
import { toConnectError, WrennError } from "@wrenn/common";
import { fromAgentError } from "./agent_errors.ts";

Deno.test("fromAgentError() keeps what the caller can act on", () => {
  const full = toConnectError(new WrennError("capacity_exhausted", "Host is full"));
  assertEquals([fromAgentError(full).code, fromAgentError(full).message], [
    "capacity_exhausted",
    "Host is full",
  ]);
});

Deno.test("fromAgentError() turns a wrong secret and a lost connection into host_unavailable", () => {
  const refused = toConnectError(new WrennError("unauthorized", "Wrong secret"));
  assertEquals(fromAgentError(refused).code, "host_unavailable");
  assertEquals(fromAgentError(new TypeError("fetch failed")).code, "host_unavailable");
});
