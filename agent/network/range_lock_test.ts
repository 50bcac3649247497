import { assertEquals, assertRejects } from "@std/assert";
import { ConfigError } from "@wrenn/common";
import { lockRange } from "./range_lock.ts";

Deno.test("lockRange() refuses a range that overlaps one in use, and takes it when that is free", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const first = await lockRange({ first: 10, last: 20 }, folder);
    for (const [from, to] of [[10, 20], [1, 10], [20, 30], [12, 13], [1, 99]] as const) {
      const error = await assertRejects(
        () => lockRange({ first: from, last: to }, folder),
        ConfigError,
      );
      assertEquals(error.message.endsWith("'10-20'"), true);
    }
    using _beside = await lockRange({ first: 21, last: 30 }, folder);
    first[Symbol.dispose]();
    using _again = await lockRange({ first: 1, last: 20 }, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
