import { assertEquals } from "@std/assert";
import { redact } from "./log.ts";

Deno.test("redact() hides secrets by key, at any depth, and keys of ours in texts", () => {
  const key = `wrn_${"A1".repeat(16)}`;
  assertEquals(
    redact({
      user: "u",
      nested: [{ accessToken: "t", env: { A: "1" } }],
      text: `used ${key} here`,
    }),
    {
      user: "u",
      nested: [{ accessToken: "[redacted]", env: "[redacted]" }],
      text: "used [redacted] here",
    },
  );
});

Deno.test("redact() keeps an error's name, message and causes", () => {
  const error = new Error("outer", { cause: new TypeError("inner") });
  assertEquals(redact(error), {
    name: "Error",
    message: "outer",
    cause: { name: "TypeError", message: "inner" },
  });
});
