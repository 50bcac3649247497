import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { repoRoot } from "./lib/shell.ts";

const read = (path: string): Promise<string> => Deno.readTextFile(join(repoRoot(), path));

Deno.test("README shows the demo as it is", async () => {
  const demo = (await read("sdk/examples/demo.ts")).replace(/^\/\/ deno-lint-ignore-file.*\n/, "");
  const shown = /```ts\n([\s\S]*?)```/.exec(await read("README.md"))?.[1];
  assertEquals(shown, demo);
});

Deno.test("README names every task, and every task has a description", async () => {
  const { tasks } = JSON.parse(await read("deno.json")) as {
    tasks: Record<string, { description?: string }>;
  };
  const readme = await read("README.md");
  for (const [name, { description }] of Object.entries(tasks)) {
    assert(readme.includes(`\`${name}\``), `README does not name the task '${name}'`);
    assert(description, `Task '${name}' has no description`);
  }
});
