import { assertEquals, assertThrows } from "@std/assert";
import { z } from "zod";
import { ConfigError, listenAddress, loadConfig } from "./config.ts";

const schema = z.object({
  WRENN_PORT: z.coerce.number().int().default(1),
  WRENN_LISTEN: listenAddress.default({ transport: "tcp", hostname: "127.0.0.1", port: 3000 }),
});

Deno.test("loadConfig() takes an empty variable for an absent one", () => {
  assertEquals(loadConfig(schema, { WRENN_PORT: "" }).WRENN_PORT, 1);
});

Deno.test("loadConfig() names each wrong variable", () => {
  const error = assertThrows(
    () => loadConfig(schema, { WRENN_PORT: "x", WRENN_LISTEN: "nowhere" }),
    ConfigError,
  );
  assertEquals(error.message.split("\n").map((l) => l.split(": ")[1]), [
    "WRENN_PORT",
    "WRENN_LISTEN",
  ]);
});

Deno.test.each([
  [":80", { transport: "tcp", hostname: "0.0.0.0", port: 80 }],
  ["localhost:0", { transport: "tcp", hostname: "localhost", port: 0 }],
  ["[::1]:8080", { transport: "tcp", hostname: "::1", port: 8080 }],
  ["unix:/run/a.sock", { transport: "unix", path: "/run/a.sock" }],
])("listenAddress reads %s", (text: string, expected: object) => {
  assertEquals<unknown>(listenAddress.parse(text), expected);
});

Deno.test.each([[""], ["host"], [":99999"], ["unix:relative"], ["a:b:1"]])(
  "listenAddress refuses '%s'",
  (text: string) => {
    assertEquals(listenAddress.safeParse(text).success, false);
  },
);
