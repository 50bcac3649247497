import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { contentKey } from "./content_key.ts";

Deno.test("contentKey() does not depend on the order of inputs", () => {
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.string()), (inputs) => {
    const turned = Object.fromEntries(Object.entries(inputs).reverse());
    assertEquals(contentKey(inputs), contentKey(turned));
  }));
});

Deno.test("contentKey() depends on every name and value", () => {
  const key = contentKey({ a: "1", list: ["x", "y"], n: 1 });
  assert(/^[0-9a-f]{64}$/.test(key));
  for (
    const other of [
      { a: "2", list: ["x", "y"], n: 1 },
      { b: "1", list: ["x", "y"], n: 1 },
      { a: "1", list: ["xy"], n: 1 },
      { a: "1", list: ["y", "x"], n: 1 },
      { a: "1", list: ["x", "y"], n: "1" },
      { a: "1", list: ["x", "y"] },
    ]
  ) assertNotEquals(contentKey(other), key);
});
