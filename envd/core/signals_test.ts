import { assertEquals } from "@std/assert";
import { isSendableSignal, signalNumber } from "./signals.ts";

Deno.test("signalNumber() knows the standard signals", () => {
  const numbers = ["SIGHUP", "SIGINT", "SIGKILL", "SIGTERM", "SIGWINCH", "SIGSYS"].map(
    signalNumber,
  );
  assertEquals(numbers, [1, 2, 9, 15, 28, 31]);
  assertEquals(signalNumber("SIGNOPE"), undefined);
  assertEquals(signalNumber(""), undefined);
});

Deno.test("isSendableSignal() takes 1 to 31", () => {
  assertEquals([0, 1, 31, 32, -9, 1.5].map(isSendableSignal), [
    false,
    true,
    true,
    false,
    false,
    false,
  ]);
});
