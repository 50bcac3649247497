import { assert, assertEquals } from "@std/assert";
import { jailArgs } from "./launcher.ts";

const qemu = ["qemu-system-x86_64", "-append", "a 'b' $(c) \"d\""];

Deno.test("jailArgs() hands QEMU's arguments on as they are", () => {
  const args = jailArgs({ namespace: "ns-7", log: "/run/a/qemu.log" }, qemu);
  assertEquals(args.slice(-3), qemu);
  assert(!args[1]?.includes("$(c)"), "arguments never become part of the script");
});

Deno.test("jailArgs() enters the slot's network namespace and its own mount namespace", () => {
  const args = jailArgs({ namespace: "ns-7", log: "/run/a/qemu.log", cgroup: "/cg/x" }, qemu);
  assert(args.includes("--net=/run/netns/ns-7"));
  assert(args.includes("--mount"));
  assertEquals(args.slice(2, 5), ["wrenn-vmm", "/run/a/qemu.log", "/cg/x"]);
});
