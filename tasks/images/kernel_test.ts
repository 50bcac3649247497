import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { extractVmlinux } from "./kernel.ts";
import { parseDepends } from "./packages.ts";

/** A bzImage with the given content, compressed with gzip. */
async function bzImage(content: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([content]).stream().pipeThrough(new CompressionStream("gzip"));
  const packed = await new Response(stream).bytes();
  const bytes = new Uint8Array(5 * 512 + 16 + packed.length + 40);
  const view = new DataView(bytes.buffer);
  view.setUint8(0x1f1, 4);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x020f, true);
  view.setUint32(0x248, 16, true);
  view.setUint32(0x24c, packed.length, true);
  bytes.set(packed, 5 * 512 + 16);
  return bytes;
}

Deno.test("extractVmlinux() unpacks the ELF file and refuses anything else", async () => {
  const work = await Deno.makeTempDir({ prefix: "wrenn-kernel-" });
  try {
    const [vmlinuz, vmlinux] = [join(work, "vmlinuz"), join(work, "vmlinux")];
    const elf = new Uint8Array(100_000).map((_, i) => i % 251);
    elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    await Deno.writeFile(vmlinuz, await bzImage(elf));
    await extractVmlinux(vmlinuz, vmlinux, undefined);
    assertEquals(await Deno.readFile(vmlinux), elf);
    await Deno.writeFile(vmlinuz, await bzImage(new Uint8Array(100)));
    await assertRejects(() => extractVmlinux(vmlinuz, vmlinux, undefined), Error, "no ELF kernel");
  } finally {
    await Deno.remove(work, { recursive: true });
  }
});

Deno.test("parseDepends() reads the dependencies of a meta package", () => {
  const output =
    "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n |Depends: a\n" +
    "  Suggests: b\n";
  assertEquals(parseDepends(output), ["linux-image-6.1.0-56-cloud-amd64", "a"]);
});
