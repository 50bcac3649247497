import { assertEquals, assertThrows } from "@std/assert";
import { resolveConfig } from "./config.ts";
import { AuthenticationError, InvalidRequestError } from "./errors.ts";

const env = (name: string): string | undefined =>
  ({ WRENN_API_URL: "http://127.0.0.1:1234", WRENN_API_KEY: "wrn_env" })[name];

Deno.test("resolveConfig() takes options before the environment", () => {
  assertEquals(resolveConfig({}, env).apiUrl.href, "http://127.0.0.1:1234/");
  assertEquals(resolveConfig({}, env).apiKey, "wrn_env");
  const config = resolveConfig({ apiUrl: "https://x.example/base/", apiKey: "k" }, env);
  assertEquals([config.apiUrl.href, config.apiKey], ["https://x.example/base/", "k"]);
  assertEquals([config.requestTimeoutMs, config.maxRetries], [60_000, 3]);
});

Deno.test("resolveConfig() says what is missing or wrong", () => {
  assertThrows(() => resolveConfig({}, () => undefined), InvalidRequestError, "WRENN_API_URL");
  assertThrows(
    () => resolveConfig({ apiUrl: "http://x" }, () => undefined),
    AuthenticationError,
    "WRENN_API_KEY",
  );
  assertThrows(() => resolveConfig({ apiUrl: "ftp://x" }, env), InvalidRequestError, "ftp://x");
  assertThrows(() => resolveConfig({ apiUrl: "x" }, env), InvalidRequestError, "URL");
  assertThrows(() => resolveConfig({ maxRetries: -1 }, env), InvalidRequestError, "maxRetries");
});
