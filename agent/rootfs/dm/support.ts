/** Whether a host can have device-mapper disks. */
import { CommandError, type RunCommand, runCommand } from "@wrenn/common";

const TARGETS = ["linear", "zero", "snapshot"];

/** Why this host cannot have such disks; undefined when it can. */
export async function deviceMapperFault(
  run: RunCommand = runCommand,
): Promise<string | undefined> {
  try {
    await run(["losetup", "--version"]);
    // Where the module cannot be loaded by name it may be there all the same.
    for (const module of ["dm-snapshot", "dm-zero", "loop"]) {
      await run(["modprobe", "--quiet", module], { allowFailure: true }).catch(() => {});
    }
    const { stdout } = await run(["dmsetup", "targets"]);
    const missing = TARGETS.filter((name) => !new RegExp(`^${name}\\s`, "m").test(stdout));
    return missing.length === 0 ? undefined : `No device-mapper target '${missing.join("', '")}'`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `Not installed: ${error.message}`;
    if (error instanceof CommandError) return error.result.stderr.trim().split("\n")[0] ?? "";
    throw error;
  }
}
