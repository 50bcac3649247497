import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "@wrenn/common";
import { loadAgentConfig } from "./config.ts";

const SECRET = "0123456789abcdef";

Deno.test("loadAgentConfig() has a default for all but the secret", () => {
  const config = loadAgentConfig({ WRENN_AGENT_SECRET: SECRET }, 8);
  assertEquals(config, {
    dataDir: "/var/lib/wrenn",
    runDir: "/run/wrenn",
    listen: { transport: "tcp", hostname: "127.0.0.1", port: 7070 },
    secret: SECRET,
    slots: { first: 1, last: 65534 },
    dns: ["1.1.1.1", "8.8.8.8"],
    vmm: "auto",
    jail: "auto",
    accelerator: "auto",
    rootfs: "auto",
    qemuBin: "qemu-system-x86_64",
    firecrackerBin: "/usr/local/bin/firecracker",
    jailerBin: undefined,
    maxSandboxes: 200,
    startConcurrency: 8,
    guestTimeoutSec: undefined,
    memoryOvercommit: 2,
    memoryReserveMb: 256,
    diskReserveMb: 512,
    layerMb: undefined,
    goldenDir: "/var/lib/wrenn/golden",
    poolTemplates: ["base"],
    poolMin: 2,
    poolMax: 20,
    readySlots: 4,
    spares: 8,
    pausedSec: 300,
    logLevel: "info",
  });
  assertEquals(loadAgentConfig({ WRENN_AGENT_SECRET: SECRET }, 1).startConcurrency, 2);
});

Deno.test("loadAgentConfig() reads what is set", () => {
  const config = loadAgentConfig({
    WRENN_AGENT_SECRET: SECRET,
    WRENN_AGENT_LISTEN: "unix:/run/a.sock",
    WRENN_SLOTS: "100-199",
    WRENN_DNS: "9.9.9.9, 10.0.0.1",
    WRENN_GUEST_TIMEOUT_SEC: "90",
    WRENN_MEMORY_OVERCOMMIT_PERCENT: "150",
    WRENN_DATA_DIR: "/data",
    WRENN_POOL_TEMPLATES: "base, minimal",
    WRENN_POOL_MIN: "0",
  }, 2);
  assertEquals(config.listen, { transport: "unix", path: "/run/a.sock" });
  assertEquals(config.slots, { first: 100, last: 199 });
  assertEquals(config.dns, ["9.9.9.9", "10.0.0.1"]);
  assertEquals(config.guestTimeoutSec, 90);
  assertEquals(config.memoryOvercommit, 1.5);
  assertEquals(config.goldenDir, "/data/golden");
  assertEquals(config.poolTemplates, ["base", "minimal"]);
  assertEquals(config.poolMin, 0);
});

Deno.test("loadAgentConfig() names each wrong variable", () => {
  const wrong: [string, string, string][] = [
    ["WRENN_AGENT_SECRET", "short", "at least 16 characters"],
    ["WRENN_AGENT_SECRET", "has a space in the middle", "printable ASCII"],
    ["WRENN_DATA_DIR", "relative", "absolute path"],
    ["WRENN_RUN_DIR", "./x", "absolute path"],
    ["WRENN_AGENT_LISTEN", "nowhere", "host:port"],
    ["WRENN_SLOTS", "0-10", "first-last"],
    ["WRENN_SLOTS", "20-10", "first-last"],
    ["WRENN_SLOTS", "1-65535", "first-last"],
    ["WRENN_DNS", "dns.example", "IPv4"],
    ["WRENN_DNS", "1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1", "at most three"],
    ["WRENN_VMM", "xen", "'firecracker'"],
    ["WRENN_JAIL", "open", "'namespace'"],
    ["WRENN_ACCEL", "hvf", "'kvm'"],
    ["WRENN_ROOTFS", "zfs", "'dm'"],
    ["WRENN_FIRECRACKER_BIN", "firecracker", "absolute path"],
    ["WRENN_LAYER_MB", "1", "at least 2"],
    ["WRENN_MAX_SANDBOXES", "0", ""],
    ["WRENN_MAX_SANDBOXES", "1e3", "whole number"],
    ["WRENN_START_CONCURRENCY", "-1", "whole number"],
    ["WRENN_GOLDEN_DIR", "here", "absolute path"],
    ["WRENN_POOL_TEMPLATES", "../base", "templates"],
    ["WRENN_POOL_MAX", "many", "whole number"],
    ["WRENN_LOG_LEVEL", "loud", "'debug'"],
  ];
  for (const [name, value, part] of wrong) {
    const env = { WRENN_AGENT_SECRET: SECRET, [name]: value };
    const error = assertThrows(() => loadAgentConfig(env, 2), ConfigError, part);
    assertEquals(error.message.includes(`${name}:`) || error.message.includes(`${name}.`), true);
  }
  assertThrows(() => loadAgentConfig({}, 2), ConfigError, "WRENN_AGENT_SECRET: must be set");
});
