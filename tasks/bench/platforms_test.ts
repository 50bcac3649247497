import { assertEquals } from "@std/assert";
import { platformEnv } from "./platforms.ts";
import { SHAPE } from "./testing/fixture.ts";

Deno.test("platformEnv() fixes the pool and gives the platform a database of its own", () => {
  const env = platformEnv(20, SHAPE);
  assertEquals([env.WRENN_POOL_MIN, env.WRENN_POOL_MAX], ["20", "20"]);
  assertEquals([env.WRENN_POOL_TEMPLATES, env.DATABASE_URL], ["base", ""]);
  assertEquals(platformEnv(0, SHAPE).WRENN_POOL_MAX, "0");
});
