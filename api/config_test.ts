import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError } from "@wrenn/common";
import { loadApiConfig } from "./config.ts";

const good = {
  DATABASE_URL: "postgresql://localhost/wrenn",
  CP_HOST_AGENT_ADDR: "unix:/run/agent.sock, 10.0.0.2:7000",
  WRENN_AGENT_SECRET: "0123456789abcdef",
};

Deno.test("loadApiConfig() reads addresses and fills in what is optional", () => {
  const config = loadApiConfig(good);
  assertEquals(config.CP_HOST_AGENT_ADDR, [
    { transport: "unix", path: "/run/agent.sock" },
    { transport: "tcp", hostname: "10.0.0.2", port: 7000 },
  ]);
  assertEquals(config.CP_LISTEN_ADDR, { transport: "tcp", hostname: "127.0.0.1", port: 3000 });
  assertEquals([config.WRENN_MIGRATE, config.WRENN_LOG_LEVEL], ["on", "info"]);
});

Deno.test("loadApiConfig() names every wrong variable", () => {
  const wrong = { CP_LISTEN_ADDR: "x", WRENN_AGENT_SECRET: "short", WRENN_MIGRATE: "maybe" };
  const { message } = assertThrows(() => loadApiConfig(wrong), ConfigError);
  const names = ["DATABASE_URL", "CP_HOST_AGENT_ADDR", ...Object.keys(wrong)];
  for (const name of names) assertStringIncludes(message, `${name}: must`);
});
