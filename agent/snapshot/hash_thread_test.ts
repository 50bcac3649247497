import { assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { sha256, type SharedBytes, startHashThread } from "./hash_thread.ts";

function shared(length: number, fill: number): SharedBytes {
  return new Uint8Array(new SharedArrayBuffer(length)).fill(fill);
}

Deno.test("sha256() is the same on a thread and without one, parts of a buffer included", async () => {
  const bytes = shared(300_000, 7);
  const parts = [bytes, bytes.subarray(0, 0), bytes.subarray(1, 5), shared(1, 0)];
  const expected = parts.map((part) => createHash("sha256").update(part).digest("hex"));
  const hexes = (all: readonly Uint8Array[]): string[] => all.map((hash) => hash.toHex());
  assertEquals(hexes(await Promise.all(parts.map(sha256))), expected);
  using _thread = startHashThread();
  assertEquals(hexes(await Promise.all(parts.map(sha256))), expected);
});

Deno.test("sha256() on a thread fails when the thread ends, and goes on without it", async () => {
  const thread = startHashThread();
  const asked = sha256(shared(64 << 20, 1));
  thread[Symbol.dispose]();
  await assertRejects(() => asked, Error, "has ended");
  assertEquals((await sha256(shared(0, 0))).toHex().slice(0, 8), "e3b0c442");
});
