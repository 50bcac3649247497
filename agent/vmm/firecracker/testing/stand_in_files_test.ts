import { assertEquals, assertRejects } from "@std/assert";
import { StandInFault } from "./stand_in_fault.ts";
import { fakeKernel, StandInFiles } from "./stand_in_files.ts";

async function check(change: (view: DataView) => void): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    const bytes = fakeKernel();
    change(new DataView(bytes.buffer));
    await Deno.writeFile(path, bytes);
    await new StandInFiles().checkKernel(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("checkKernel() accepts a 64-bit x86 ELF file with something to load", async () => {
  await check(() => {});
});

Deno.test("checkKernel() refuses every other file", async () => {
  const wrong: Record<string, (view: DataView) => void> = {
    "not a 64-bit": (view) => view.setUint32(0, 0x4d5a0000),
    "64-bit ELF file": (view) => view.setUint8(4, 1),
    "ELF file": (view) => view.setUint8(5, 2),
    "not for x86-64": (view) => view.setUint16(18, 183, true),
    "nothing to load": (view) => view.setUint16(56, 0, true),
    "nothing": (view) => view.setUint32(64, 2, true),
    "to load": (view) => view.setBigUint64(64 + 32, 0n, true),
    "load": (view) => view.setBigUint64(64 + 8, 1000n, true),
  };
  for (const [why, change] of Object.entries(wrong)) {
    await assertRejects(() => check(change), StandInFault, why);
  }
});

Deno.test("StandInFiles keeps paths below its root and follows no link there", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const root = `${folder}/root`;
    await Deno.mkdir(`${root}/run`, { recursive: true });
    await Deno.writeTextFile(`${folder}/secret`, "");
    await Deno.symlink(folder, `${root}/out`);
    const files = new StandInFiles(root);
    assertEquals(await files.hostPath("/run/../../../secret"), `${root}/secret`);
    assertEquals(await files.hostPath("run/new"), `${root}/run/new`);
    await assertRejects(
      () => files.checkOpens("/../secret", "file", "read"),
      StandInFault,
      "No such",
    );
    await assertRejects(() => files.hostPath("/out/secret"), StandInFault, "symbolic link");
    assertEquals(await new StandInFiles().hostPath("/out/secret"), "/out/secret");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
