import { assertEquals } from "@std/assert";
import { waitForOrphans } from "./orphans.ts";

Deno.test("waitForOrphans() waits for processes of a dead parent, and not for its own children", async () => {
  const word = `wrenn-test-${Deno.pid}`;
  // The outer shell ends at once: the sleeper becomes somebody else's child.
  const script = `sh -c 'sleep 0.4 & wait' sh ${word} >/dev/null 2>&1 & echo $!`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  const orphan = Number(new TextDecoder().decode(stdout));
  const args = ["-c", "read -r line", "sh", word];
  const own = new Deno.Command("sh", { args, stdin: "piped" }).spawn();
  try {
    assertEquals(await waitForOrphans(word, 50), [orphan]);
    const began = performance.now();
    assertEquals(await waitForOrphans(word, 5000), []);
    assertEquals(performance.now() - began < 2000, true);
  } finally {
    await own.stdin.close();
    await own.status;
  }
});

Deno.test("waitForOrphans() takes no other process for one", async () => {
  assertEquals(await waitForOrphans("wrenn-slots-none", 0), []);
});
