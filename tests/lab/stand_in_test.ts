/**
 * The whole agent as it is with Firecracker, where that is not: programs stand in for it and its jailer, and their
 * guests run in QEMU. Runs in the lab (`deno task test:lab --full`).
 */
import {
  installStandIn,
  installStandInJailer,
} from "../../agent/vmm/firecracker/testing/stand_in_executable.ts";
import { vmmFault } from "./lib/vmms.ts";
import { wholeLife } from "./lib/whole_life.ts";

const fault = await vmmFault("qemu");

for (const jail of ["jailer", "namespace"]) {
  Deno.test({
    name: `Sandboxes under what stands in for Firecracker live and leave nothing, jail: ${jail}`,
    ignore: fault !== undefined,
    fn: async () => {
      const folder = await Deno.makeTempDir({ prefix: "wrenn-fc-" });
      try {
        await Deno.chmod(folder, 0o755);
        const firecracker = await installStandIn(folder, { accelerator: "kvm" });
        if (jail === "jailer") await installStandInJailer(folder);
        await wholeLife({
          WRENN_VMM: "firecracker",
          WRENN_FIRECRACKER_BIN: firecracker,
          WRENN_JAIL: jail === "jailer" ? jail : "auto",
        });
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}
