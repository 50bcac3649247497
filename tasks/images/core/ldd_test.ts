import { assertEquals, assertThrows } from "@std/assert";
import { parseLdd } from "./ldd.ts";

Deno.test("parseLdd() reads loader and libraries", () => {
  const { loader, libraries } = parseLdd(`
\tlinux-vdso.so.1 (0x00007fe50bab2000)
\tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007fe50ba7c000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fe50593e000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007fe50bab4000)
`);
  assertEquals(loader, "/lib64/ld-linux-x86-64.so.2");
  assertEquals([...libraries], [
    ["libgcc_s.so.1", "/lib/x86_64-linux-gnu/libgcc_s.so.1"],
    ["libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"],
  ]);
});

Deno.test("parseLdd() takes the loader that a newer ldd shows with an arrow", () => {
  const output =
    "\t/lib64/ld-linux-x86-64.so.2 => /usr/lib64/ld-linux-x86-64.so.2 (0x00007f0000000000)\n";
  assertEquals(parseLdd(output).loader, "/usr/lib64/ld-linux-x86-64.so.2");
});

Deno.test("parseLdd() names a missing library and refuses static programs", () => {
  assertThrows(() => parseLdd("\tlibx.so.1 => not found\n"), TypeError, "'libx.so.1'");
  assertThrows(() => parseLdd("\tstatically linked\n"), TypeError, "not dynamically linked");
});
