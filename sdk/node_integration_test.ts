import { assertEquals, assertMatch } from "@std/assert";
import { FAKE_KEY, FakeServer } from "./testing/fake_server.ts";
import { runOnNode } from "./testing/node.ts";

Deno.test("The SDK runs on Node with all its flows", async () => {
  await using server = new FakeServer();
  const { code, stdout, stderr } = await runOnNode(server.options.apiUrl, FAKE_KEY, "fake");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertMatch(stdout, /^ok \d+\./);
  assertEquals(server.sandboxes.size, 0);
  await server.left;
});
