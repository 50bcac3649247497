import { assertEquals } from "@std/assert";
import { formatEnv, parseDotenv } from "./env_file.ts";

Deno.test("parseDotenv() reads what formatEnv() wrote", () => {
  const url = "http://127.0.0.1:3000", key = `wrn_${"a".repeat(32)}`;
  const databaseUrl = "postgres://postgres@127.0.0.1:5432/wrenn?host=/run/x&y=1";
  assertEquals(parseDotenv(formatEnv({ url, key, databaseUrl })), {
    WRENN_API_URL: url,
    WRENN_API_KEY: key,
    E2B_API_URL: url,
    E2B_API_KEY: key,
    E2B_SANDBOX_URL: url,
    DATABASE_URL: databaseUrl,
  });
});

Deno.test("parseDotenv() passes over comments and takes values without quotes", () => {
  assertEquals(parseDotenv('# a comment\n\nA=1\nB="two words"\nlower=3'), {
    A: "1",
    B: "two words",
  });
});
