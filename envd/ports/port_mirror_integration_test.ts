import { assertEquals } from "@std/assert";
import { PortMirror } from "./port_mirror.ts";

Deno.test("localhost listeners are offered outside as long as they listen", async () => {
  const probe = new URL("../testing/mirror_probe.ts", import.meta.url).pathname;
  const script = "ip link set lo up && ip addr add 169.254.0.21/30 dev lo && " +
    'exec "$0" run -A "$1"';
  const { stdout, stderr } = await new Deno.Command("unshare", {
    args: ["-n", "sh", "-c", script, Deno.execPath(), probe],
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (text === "") throw new Error(new TextDecoder().decode(stderr));
  assertEquals(JSON.parse(text), {
    found: true,
    before: "ConnectionRefused",
    during: ["v4 3000000", "v6 3000000", "all 3000000", "ConnectionRefused"],
    after: "ConnectionRefused",
    disposed: "ConnectionRefused",
  });
});

Deno.test("a host without the guest's address has no mirror", () => {
  assertEquals(PortMirror.hasAddress("169.254.0.21"), false);
  assertEquals(PortMirror.hasAddress(""), false);
});
