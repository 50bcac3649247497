/** The order as a drive: an archive of the checkout and of the script to run. */
import { join } from "node:path";
import { exec } from "../images/exec.ts";
import { repoRoot } from "../lib/shell.ts";
import { type LabOrder, orderScript, PROJECT } from "./core/lab_order.ts";

/** What is not brought into the lab. */
const LEFT_OUT = [".git", ".dev", "dist", "node_modules"];
/** Drives are read in sectors. */
const SECTOR = 512;

/** Writes the archive to `target`. `work` is an empty folder. */
export async function writeOrder(order: LabOrder, target: string, work: string): Promise<void> {
  await Deno.writeTextFile(join(work, "order.sh"), orderScript(order));
  await exec([
    "tar",
    ...["--create", "--file", target, "--owner=0", "--group=0"],
    ...LEFT_OUT.map((name) => `--exclude=./${name}`),
    ...["--directory", work, "order.sh"],
    ...["--directory", repoRoot(), `--transform=s,^\\.,${PROJECT.slice(1)},`, "."],
  ]);
  const { size } = await Deno.stat(target);
  await Deno.truncate(target, Math.ceil(size / SECTOR) * SECTOR);
}
