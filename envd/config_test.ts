import { assertEquals, assertThrows } from "@std/assert";
import { FlagError, parseFlags } from "./config.ts";

Deno.test("parseFlags() has defaults and reads both forms", () => {
  assertEquals(parseFlags([]), {
    host: "0.0.0.0",
    port: 49983,
    awaitInit: false,
    mirrorAddress: "169.254.0.21",
  });
  const config = parseFlags(["--port=0", "--await-init", "--host", "127.0.0.1", "--mirror", ""]);
  assertEquals(config, { host: "127.0.0.1", port: 0, awaitInit: true, mirrorAddress: "" });
});

Deno.test("parseFlags() names what it cannot read", () => {
  for (
    const args of [["--port"], ["--port", "x"], ["--port", "65536"], ["--nope", "1"], ["word"]]
  ) {
    assertThrows(() => parseFlags(args), FlagError, args[0] ?? "");
  }
});
