import { assertEquals, assertThrows } from "@std/assert";
import { parseDevOptions, UsageError } from "./options.ts";

Deno.test("parseDevOptions() has defaults that need no flag", () => {
  assertEquals(parseDevOptions([], "/repo"), {
    port: 3000,
    dataDir: "/repo/.dev",
    slots: "1-4096",
    once: false,
  });
});

Deno.test("parseDevOptions() takes every flag", () => {
  assertEquals(
    parseDevOptions(["--port", "0", "--data-dir=/d", "--slots", "5-9", "--once"], "/repo"),
    { port: 0, dataDir: "/d", slots: "5-9", once: true },
  );
});

Deno.test.each([
  [["--port", "http"], "--port must be a number"],
  [["--port", "70000"], "--port must be a number"],
  [["--slots", "5"], "--slots must be FIRST-LAST"],
  [["--prot", "1"], "--prot"],
  [["extra"], "extra"],
])("parseDevOptions(%j) says what is wrong", (args: readonly string[], part: string) => {
  assertThrows(() => parseDevOptions(args, "/repo"), UsageError, part);
});
