import { assertEquals } from "@std/assert";

Deno.test("eventLoopFds() are readable once a datagram has come, and not before", async () => {
  // A process of its own: one that runs tests has several loops.
  const args = ["run", "-A", "--no-check", "--unstable-net"];
  const probe = new URL("../testing/event_loop_probe.ts", import.meta.url).pathname;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: [...args, probe] }).output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(JSON.parse(text), { before: false, after: true, bytes: [7] });
});
