import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { readHeldData, writeChoice } from "./held_data.ts";

async function withFolder(work: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-held-" });
  try {
    await work(dataDir);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
}

Deno.test("readHeldData() takes a folder without a choice for QEMU's with qcow2", async () => {
  await withFolder(async (dataDir) => {
    const nothing = { sandboxes: 0, leftovers: 0, snapshots: 0 };
    const last = { vmm: "qemu", rootfs: "qcow2" } as const;
    assertEquals(await readHeldData(dataDir), { last, ...nothing });
  });
});

Deno.test("readHeldData() counts disks and snapshots and nothing else", async () => {
  await withFolder(async (dataDir) => {
    const snapshots = ["snap-0123456789abcdef", ".draft-snap-0123456789abcdee", "other"];
    const disks = ["sb-01234567", "sb-01234568", "warm-0123456789abcdef", "gold-0123456789abcdef"];
    for (const name of [...disks, "lost+found"]) {
      await Deno.mkdir(join(dataDir, "sandboxes", name), { recursive: true });
    }
    for (const name of snapshots) {
      await Deno.mkdir(join(dataDir, "snapshots", name), { recursive: true });
    }
    const { last: _, ...held } = await readHeldData(dataDir);
    assertEquals(held, { sandboxes: 2, leftovers: 2, snapshots: 1 });
  });
});

Deno.test("writeChoice() is read again, also after one that was torn; damage is told", async () => {
  await withFolder(async (dataDir) => {
    await Deno.writeTextFile(join(dataDir, ".new-platform.json"), "{");
    for (const vmm of ["firecracker", "qemu"] as const) {
      await writeChoice(dataDir, { vmm, rootfs: "dm" });
      assertEquals((await readHeldData(dataDir)).last, { vmm, rootfs: "dm" });
    }
    assertEquals((await Array.fromAsync(Deno.readDir(dataDir))).length, 1);
    await Deno.writeTextFile(join(dataDir, "platform.json"), '{"vmm":"xen"}');
    await assertRejects(() => readHeldData(dataDir), Error, "platform.json");
  });
});
