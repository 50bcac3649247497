/** What a data folder holds from agents before, and what the last one ran with: `{data}/platform.json`. */
import { isSandboxId, isSnapshotId } from "@wrenn/common";
import { join } from "node:path";
import { z } from "zod";
import type { HeldData, PlatformChoice } from "../core/platform_choice.ts";
import { namesIn } from "../rootfs/bases.ts";
import { writeAt, writeWhole } from "../rootfs/disk_files.ts";
import { isDiskId } from "../rootfs/disk_folders.ts";

const FILE = "platform.json";

const schema = z.object({
  vmm: z.enum(["qemu", "firecracker"]),
  rootfs: z.enum(["qcow2", "dm"]),
});

/** Reads a data folder. One without the file is QEMU's with qcow2. @throws {Error} When the file is damaged. */
export async function readHeldData(dataDir: string): Promise<HeldData> {
  const disks = (await namesIn(join(dataDir, "sandboxes"))).filter(isDiskId);
  const snapshots = await namesIn(join(dataDir, "snapshots"));
  return {
    last: await readLast(join(dataDir, FILE)),
    sandboxes: disks.filter(isSandboxId).length,
    leftovers: disks.filter((name) => !isSandboxId(name)).length,
    snapshots: snapshots.filter(isSnapshotId).length,
  };
}

/** Writes down what this agent runs with, whole or not at all. */
export async function writeChoice(
  dataDir: string,
  { vmm, rootfs }: Pick<PlatformChoice, "vmm" | "rootfs">,
): Promise<void> {
  const path = join(dataDir, FILE);
  await Deno.remove(join(dataDir, `.new-${FILE}`)).catch((error: unknown) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await writeWhole(path, async (file) => {
    await writeAt(file, 0, new TextEncoder().encode(JSON.stringify({ vmm, rootfs }) + "\n"));
    await file.sync();
  });
}

async function readLast(path: string): Promise<HeldData["last"]> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { vmm: "qemu", rootfs: "qcow2" };
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`Damaged: '${path}'`, { cause });
  }
}
