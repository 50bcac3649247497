import { assertEquals } from "@std/assert";
import { withHostname } from "./machine.ts";

Deno.test("withHostname() keeps one line of ours", () => {
  const hosts = "127.0.0.1\tlocalhost\n127.0.1.1 old\n::1 ip6\n";
  const once = withHostname(hosts, "sb-1");
  assertEquals(once, "127.0.0.1\tlocalhost\n::1 ip6\n127.0.1.1\tsb-1\n");
  assertEquals(withHostname(once, "sb-1"), once);
  assertEquals(withHostname("", "a"), "127.0.1.1\ta\n");
});
