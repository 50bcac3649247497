import { assertEquals, assertThrows } from "@std/assert";
import { WrennError } from "@wrenn/common/errors";
import { parseMetadata } from "./metadata.ts";

Deno.test("parseMetadata() takes its headers alone", () => {
  const headers = new Headers({ "X-Metadata-Foo": "bar 1", "content-type": "x", "x-meta": "no" });
  assertEquals(parseMetadata(headers), { foo: "bar 1" });
  assertEquals(parseMetadata(new Headers()), undefined);
});

Deno.test("parseMetadata() keeps the limits", () => {
  const bad: [string, string][] = [
    ["x-metadata-", "v"],
    ["x-metadata-k", "caf\u00e9"],
    ["x-metadata-k", "tab\there"],
    [`x-metadata-${"k".repeat(247)}`, "v"],
    ["x-metadata-k", "v".repeat(4096)],
  ];
  for (const header of bad) {
    const error = assertThrows(() => parseMetadata([header]), WrennError);
    assertEquals(error.code, "invalid_request");
  }
  const limit: [string, string][] = [["x-metadata-k", "v".repeat(4095)]];
  assertEquals(parseMetadata(limit)?.["k"]?.length, 4095);
});
