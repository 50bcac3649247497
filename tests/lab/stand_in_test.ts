/**
 * The whole agent as it is with Firecracker and its jailer, where neither is: programs stand in for both, and their
 * guests run in QEMU. Runs in the lab (`deno task test:lab --full`).
 */
import {
  installStandIn,
  installStandInJailer,
} from "../../agent/vmm/firecracker/testing/stand_in_executable.ts";
import { vmmFault } from "./lib/vmms.ts";
import { wholeLife } from "./lib/whole_life.ts";

const fault = await vmmFault("qemu");

Deno.test({
  name: "Sandboxes under what stands in for Firecracker live, are copied and leave nothing",
  ignore: fault !== undefined,
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "wrenn-fc-" });
    try {
      await Deno.chmod(folder, 0o755);
      await wholeLife({
        WRENN_VMM: "firecracker",
        WRENN_FIRECRACKER_BIN: await installStandIn(folder, { accelerator: "kvm" }),
        WRENN_JAILER_BIN: await installStandInJailer(folder),
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
