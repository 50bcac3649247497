import { assertEquals } from "@std/assert";
import { importedPart, messageFault, partOf } from "./house.ts";

Deno.test("partOf() names the part that a file belongs to", () => {
  assertEquals(partOf("/src/wrenn/agent/core/slots.ts"), "agent");
  assertEquals(partOf("/home/api/wrenn/envd/main.ts"), "envd");
  assertEquals(partOf("/src/wrenn/tasks/dev.ts"), undefined);
});

Deno.test("importedPart() follows names and relative paths", () => {
  assertEquals(importedPart("/w/api/routes/x.ts", "@wrenn/agent"), "agent");
  assertEquals(importedPart("/w/api/routes/x.ts", "../../agent/mod.ts"), "agent");
  assertEquals(importedPart("/w/api/routes/x.ts", "zod"), undefined);
});

Deno.test("messageFault() accepts the house grammar and names each fault", () => {
  assertEquals(messageFault("Cannot open 'x': no such file"), undefined);
  assertEquals(messageFault("cannot open"), "starts with a capital");
  assertEquals(messageFault("Cannot open."), "has no final period");
  assertEquals(messageFault("File doesn't exist"), "has no contractions");
});
