import { assert, assertEquals } from "@std/assert";
import { newApiKey } from "@wrenn/common";
import { isAcceptedKey, keyPrefix } from "./api_keys.ts";

Deno.test("isAcceptedKey() accepts our keys and E2B's shape, nothing else", () => {
  assert(isAcceptedKey(newApiKey()));
  assert(isAcceptedKey(`e2b_${"0a".repeat(20)}`));
  const wrong = ["", "wrn_", `wrn_${"a".repeat(31)}`, `e2b_${"A".repeat(40)}`, ` ${newApiKey()}`];
  for (const text of wrong) assert(!isAcceptedKey(text), text);
});

Deno.test("keyPrefix() shows eight letters", () => {
  assertEquals(keyPrefix(`wrn_${"x".repeat(32)}`), "wrn_xxxx");
});
