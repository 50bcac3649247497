/** The whole agent under KVM and on device-mapper, with each VMM that is there. Runs in the lab (`deno task test:lab`). */
import { vmmFault, VMMS } from "./lib/vmms.ts";
import { wholeLife } from "./lib/whole_life.ts";

for (const vmm of VMMS) {
  const fault = await vmmFault(vmm);
  const why = fault === undefined ? "" : ` (left out: ${fault})`;
  Deno.test({
    name:
      `Sandboxes under KVM and ${vmm} on device-mapper live, are copied and leave nothing${why}`,
    ignore: fault !== undefined,
    fn: () => wholeLife({ WRENN_VMM: vmm }),
  });
}
