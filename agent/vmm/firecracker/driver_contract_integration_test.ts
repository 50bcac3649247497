/** The contract of VMM drivers, with Firecracker where it and KVM are, else with the stand-in that has a guest. */
import { exists } from "@wrenn/common";
import { driverContract } from "../driver_contract.ts";
import { bootInAnotherAgent } from "../testing/another_agent.ts";
import type { VmHost } from "../testing/vm_host.ts";
import { FirecrackerDriver, type FirecrackerDriverOptions } from "./driver.ts";
import { jailerBeside } from "./host.ts";
import { firecrackerLine } from "./testing/firecracker_process.ts";
import { mountPointAsItIs } from "./testing/mount_point.ts";
import { installStandIn, installStandInJailer } from "./testing/stand_in_executable.ts";

/** What runs the guests of this file, which a machine's user can reach. */
let program: string = "";
/** Where a stand-in is; undefined with the real thing. */
let folder: string | undefined;
let removeMountPoint: () => Promise<void>;

Deno.test.beforeAll(async () => {
  removeMountPoint = await mountPointAsItIs();
  const real = await firecrackerLine();
  if (real) {
    program = real.argv[0];
    return;
  }
  folder = await Deno.makeTempDir({ prefix: "wrenn-fc-" });
  await Deno.chmod(folder, 0o755);
  program = await installStandIn(folder, { accelerator: "tcg" });
  await installStandInJailer(folder);
});

Deno.test.afterAll(async () => {
  if (folder !== undefined) await Deno.remove(folder, { recursive: true });
  await removeMountPoint();
});

async function options(host: VmHost): Promise<FirecrackerDriverOptions> {
  const kernels = `${host.dataDir}/kernels`;
  return {
    dataDir: host.dataDir,
    kernel: `${kernels}/vmlinux`,
    initrd: `${kernels}/initrd.img`,
    firecrackerBin: program,
    jail: await exists(jailerBeside(program)) ? "jailer" : "namespace",
    // The stand-in is a Deno and a QEMU with a buffer for what it translates.
    ...(folder === undefined ? {} : { overheadMb: 1024 }),
  };
}

driverContract({
  name: "FirecrackerDriver",
  disks: "raw",
  open: async (host) => await FirecrackerDriver.open(await options(host)),
  bootElsewhere: async (host, spec) =>
    await bootInAnotherAgent({ driver: "firecracker", options: await options(host), spec }),
});
