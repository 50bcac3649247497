import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readQemuVersion, tscKhzOf, versionText } from "./host_facts.ts";

Deno.test("tscKhzOf() takes the first CPU's rate", () => {
  assertEquals(tscKhzOf("processor\t: 0\ncpu MHz\t\t: 2596.148\n\ncpu MHz\t\t: 1.0\n"), 2_596_148);
});

Deno.test("tscKhzOf() refuses a text without a plausible rate", () => {
  for (const text of ["", "cpu MHz\t\t: 0.000\n", "cpu MHz\t\t: unknown\n", "BogoMIPS : 50.00\n"]) {
    assertThrows(() => tscKhzOf(text), Error, "Cannot read the time stamp counter");
  }
});

Deno.test("readQemuVersion() asks the program that is configured", async () => {
  const version = await readQemuVersion("/opt/qemu", (argv) => {
    assertEquals(argv, ["/opt/qemu", "--version"]);
    return Promise.resolve({ code: 0, stdout: "QEMU emulator version 10.0.2\n", stderr: "" });
  });
  assertEquals(versionText(version), "10.0.2");
});

Deno.test("readQemuVersion() says what to install when there is no QEMU", async () => {
  const absent = () => Promise.reject(new Deno.errors.NotFound("no such file"));
  await assertRejects(() => readQemuVersion("qemu-x", absent), Error, "Cannot find 'qemu-x'");
});
