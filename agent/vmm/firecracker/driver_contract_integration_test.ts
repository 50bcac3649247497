/** The contract of VMM drivers, with Firecracker where it and KVM are, else with the stand-in that has a guest. */
import { driverContract } from "../driver_contract.ts";
import { bootInAnotherAgent } from "../testing/another_agent.ts";
import type { VmHost } from "../testing/vm_host.ts";
import { FirecrackerDriver, type FirecrackerDriverOptions } from "./driver.ts";
import { firecrackerLine } from "./testing/firecracker_process.ts";
import { installStandIn } from "./testing/stand_in_executable.ts";

/** What runs the guests of this file, which a machine's user can reach. */
let program: string | undefined;
let folder: string | undefined;

Deno.test.beforeAll(async () => {
  const real = await firecrackerLine();
  program = real?.argv[0];
  if (program !== undefined) return;
  folder = await Deno.makeTempDir({ prefix: "wrenn-fc-" });
  await Deno.chmod(folder, 0o755);
  program = await installStandIn(folder, { accelerator: "tcg" });
});

Deno.test.afterAll(async () => {
  if (folder !== undefined) await Deno.remove(folder, { recursive: true });
});

function options(host: VmHost): FirecrackerDriverOptions {
  const kernels = `${host.dataDir}/kernels`;
  return {
    dataDir: host.dataDir,
    kernel: `${kernels}/vmlinux`,
    initrd: `${kernels}/initrd.img`,
    ...(program === undefined ? {} : { firecrackerBin: program }),
    jail: "namespace",
    // The stand-in is a Deno and a QEMU with a buffer for what it translates.
    ...(folder === undefined ? {} : { overheadMb: 1024 }),
  };
}

driverContract({
  name: "FirecrackerDriver",
  disks: "raw",
  open: (host) => FirecrackerDriver.open(options(host)),
  bootElsewhere: (host, spec) =>
    bootInAnotherAgent({ driver: "firecracker", options: options(host), spec }),
});
