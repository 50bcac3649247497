import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  isApiKey,
  isHostId,
  isSandboxId,
  newApiKey,
  newExecutionId,
  newHostId,
  newSandboxId,
} from "./ids.ts";

Deno.test("new ids match their patterns", () => {
  assert(isSandboxId(newSandboxId()));
  assert(isHostId(newHostId()));
  assertEquals(newExecutionId().length, 16);
  assert(isApiKey(newApiKey()));
});

Deno.test("newApiKey() takes whatever bytes come and stays in its alphabet", () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1 }), (seed) => {
    let i = 0;
    const key = newApiKey((bytes) => bytes.map(() => (seed[i++ % seed.length] ?? 0) + i));
    assert(isApiKey(key));
  }));
});

Deno.test("isSandboxId() accepts its pattern alone", () => {
  for (
    const bad of [
      "",
      "sb-",
      "sb-1234567",
      "sb-123456789",
      "sb-ABCDEF01",
      "sb-../../et",
      "SB-12345678",
    ]
  ) {
    assert(!isSandboxId(bad), bad);
  }
});
