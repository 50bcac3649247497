import { assert, assertEquals } from "@std/assert";
import { hostState, leaked } from "./leaks.ts";

Deno.test("leaked() names a process, a namespace, a link and a file that were left behind", async () => {
  const before = await hostState();
  const file = await Deno.makeTempFile({ dir: "/tmp", prefix: "wrenn-leak-" });
  const sleeper = new Deno.Command("sh", {
    args: ["-c", "sleep 60; : wrenn-leak-test"],
    detached: true,
  }).spawn();
  await command("ip", "netns", "add", "ns-65534");
  await command("ip", "link", "add", "veth-65534", "type", "veth");
  try {
    const found = leaked(before, await hostState());
    assert(found.includes(`file: ${file}`));
    assert(found.includes("namespace: ns-65534"));
    assert(found.includes("link: veth-65534"));
    assert(found.some((line) => line.startsWith(`process: ${sleeper.pid} `)));
  } finally {
    await command("ip", "link", "del", "veth-65534");
    await command("ip", "netns", "del", "ns-65534");
    await Deno.remove(file);
    Deno.kill(-sleeper.pid, "SIGKILL");
    await sleeper.status;
  }
  assertEquals(leaked(before, await hostState()).filter((l) => l.includes("65534")), []);
});

async function command(cmd: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(cmd, { args }).output();
  if (!success) throw new Error(`Cannot run '${cmd}': ${new TextDecoder().decode(stderr)}`);
}
