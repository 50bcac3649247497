import { assertEquals, assertMatch } from "@std/assert";
import { runOnNode } from "../../sdk/testing/node.ts";
import { platform } from "./lib/platform.ts";
import { test } from "./lib/test.ts";

test("The SDK's flows run on Node against the platform", async () => {
  const { apiUrl, apiKey } = platform();
  const { code, stdout, stderr } = await runOnNode(apiUrl, apiKey, "real");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertMatch(stdout, /^ok \d+\./);
});
