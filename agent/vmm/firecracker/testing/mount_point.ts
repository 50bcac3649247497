/** The empty folder that stays where machines in namespace jails were: after a test it is as it was before. */
import { exists } from "@wrenn/common";
import { VM_FOLDER } from "../../../core/firecracker_jail.ts";

/** Answers what removes the folder, unless it is there already. Nobody may run a machine in it then. */
export async function mountPointAsItIs(): Promise<() => Promise<void>> {
  const kept = await exists(VM_FOLDER);
  return async () => {
    if (!kept && await exists(VM_FOLDER)) await Deno.remove(VM_FOLDER);
  };
}
