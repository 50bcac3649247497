/** Which VMMs can be tested with KVM and device-mapper on this host. */
import { runCommand } from "@wrenn/common";
import { deviceMapperFault } from "../../../agent/rootfs/dm/support.ts";

/** What is tested: `WRENN_VMM` alone, or all. */
export const VMMS: readonly string[] = [Deno.env.get("WRENN_VMM") ?? ["qemu", "firecracker"]]
  .flat();

const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  qemu: [Deno.env.get("WRENN_QEMU_BIN") ?? "qemu-system-x86_64"],
  // Without the jailer beside it, the agent jails it by namespaces.
  firecracker: [Deno.env.get("WRENN_FIRECRACKER_BIN") ?? "/usr/local/bin/firecracker"],
};

/** Why a VMM cannot be tested here; undefined when it can. */
export async function vmmFault(vmm: string): Promise<string | undefined> {
  const noDevice = await deviceMapperFault();
  if (noDevice !== undefined) return `needs device-mapper: ${noDevice}`;
  try {
    (await Deno.open("/dev/kvm", { read: true, write: true })).close();
    for (const program of PROGRAMS[vmm] ?? []) await runCommand([program, "--version"]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
