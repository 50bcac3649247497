import { assertEquals } from "@std/assert";
import { signalNumber } from "./signals.ts";

Deno.test("signalNumber() knows names with and without prefix", () => {
  assertEquals(["SIGINT", "INT", "int", "SIGKILL", "winch"].map(signalNumber), [2, 2, 2, 9, 28]);
});

Deno.test("signalNumber() does not know what is no signal", () => {
  for (const name of ["", "SIG", "SIGNOPE", "toString", "__proto__"]) {
    assertEquals(signalNumber(name), undefined, name);
  }
});
