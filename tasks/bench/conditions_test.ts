import { assertEquals } from "@std/assert";
import { acceleratorOf } from "./conditions.ts";

Deno.test("acceleratorOf() reads the command line of the sandbox's QEMU and of no other", () => {
  const disk = "file=/data/sandboxes/sb-00000001/disk.qcow2";
  const tcg = ["/usr/bin/qemu-system-x86_64", "-accel", "tcg,thread=multi", "-drive", disk];
  assertEquals(acceleratorOf(tcg, "sb-00000001"), "tcg");
  assertEquals(acceleratorOf(tcg, "sb-00000002"), undefined);
  const kvm = ["qemu-system-x86_64", "-M", "microvm,accel=kvm", disk];
  assertEquals(acceleratorOf(kvm, "sb-00000001"), "kvm");
  assertEquals(acceleratorOf(["grep", "sb-00000001"], "sb-00000001"), undefined);
});
