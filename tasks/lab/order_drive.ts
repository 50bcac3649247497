/** The order as a drive: an archive of the checkout, of the script to run and of this host's Firecracker. */
import { basename, join } from "node:path";
import { exec } from "../images/exec.ts";
import { repoRoot } from "../lib/shell.ts";
import { type LabOrder, orderScript, PROJECT } from "./core/lab_order.ts";

/** What is not brought into the lab. */
const LEFT_OUT = [".git", ".dev", "dist", "node_modules"];
/** Drives are read in sectors. */
const SECTOR = 512;
/** Where the lab has programs that only some hosts have, without the leading slash. */
const PROGRAMS = "usr/local/bin";
/** These, from where the agent looks for them. */
const OPTIONAL = { firecracker: "WRENN_FIRECRACKER_BIN", jailer: "WRENN_JAILER_BIN" } as const;

/** Writes the archive to `target`, and tells which optional programs it has. `work` is an empty folder. */
export async function writeOrder(
  order: LabOrder,
  target: string,
  work: string,
): Promise<readonly string[]> {
  await Deno.writeTextFile(join(work, "order.sh"), orderScript(order));
  const programs = await copyPrograms(work);
  await exec([
    "tar",
    ...["--create", "--file", target, "--owner=0", "--group=0"],
    ...LEFT_OUT.map((name) => `--exclude=./${name}`),
    ...["--directory", work, "order.sh", ...programs],
    ...["--directory", repoRoot(), `--transform=s,^\\.,${PROJECT.slice(1)},`, "."],
  ]);
  const { size } = await Deno.stat(target);
  await Deno.truncate(target, Math.ceil(size / SECTOR) * SECTOR);
  return programs.map((path) => basename(path));
}

/** Copies the programs that this host has, and tells their paths in the archive. */
async function copyPrograms(work: string): Promise<string[]> {
  await Deno.mkdir(join(work, PROGRAMS), { recursive: true });
  const found: string[] = [];
  for (const [name, variable] of Object.entries(OPTIONAL)) {
    const inLab = join(PROGRAMS, name);
    try {
      await Deno.copyFile(Deno.env.get(variable) ?? `/${inLab}`, join(work, inLab));
      await Deno.chmod(join(work, inLab), 0o755);
      found.push(inLab);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}
