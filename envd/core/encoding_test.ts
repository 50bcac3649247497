import { assertEquals } from "@std/assert";
import { chooseEncoding } from "./encoding.ts";

Deno.test("chooseEncoding() compresses when asked and possible", () => {
  const cases: [string | null, boolean, string | undefined][] = [
    [null, true, "identity"],
    ["gzip", true, "gzip"],
    ["gzip, deflate, br", true, "gzip"],
    ["gzip", false, "identity"],
    ["identity, gzip;q=0.5", true, "identity"],
    ["gzip;q=0", true, "identity"],
    ["br", true, "identity"],
    ["br, identity;q=0", true, undefined],
    ["br, *;q=0", true, undefined],
    ["gzip, identity;q=0", false, undefined],
    ["identity;q=0, *", true, "gzip"],
    ["GZIP ; Q=1", true, "gzip"],
  ];
  for (const [header, possible, expected] of cases) {
    assertEquals(chooseEncoding(header, possible), expected, String(header));
  }
});
