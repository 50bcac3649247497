/** Looking at the host: which of the things that the agent can run with work here. */
import { type RunCommand, runCommand } from "@wrenn/common";
import { join } from "node:path";
import type { PlatformFaults, PlatformWishes } from "../core/platform_choice.ts";
import type { QemuVersion } from "../core/qemu_args.ts";
import { deviceMapperFault } from "../rootfs/dm/support.ts";
import { findProgram, jailerBeside, lookAtHost } from "../vmm/firecracker/host.ts";
import { kvmDeviceFault, kvmFault } from "../vmm/qemu/accelerator.ts";
import { readQemuVersion, tscKhzOf } from "../vmm/qemu/host_facts.ts";

/** Where to look. */
export interface FactsOptions {
  readonly wishes: PlatformWishes;
  /** The agent's data folder: what was found out about KVM is kept in it. */
  readonly dataDir: string;
  /** Guest kernel, to prove that KVM works. */
  readonly kernel: string;
  /** Its initramfs. */
  readonly initrd: string;
  readonly qemuBin: string;
  readonly firecrackerBin: string;
  readonly jailerBin: string | undefined;
  /** Runs programs. */
  readonly run?: RunCommand;
}

/** Finds out what {@linkcode choosePlatform} must know. Starts a guest under KVM where that can decide anything. */
export async function readPlatformFaults(options: FactsOptions): Promise<PlatformFaults> {
  const { wishes, firecrackerBin, run = runCommand } = options;
  const jailerBin = options.jailerBin ?? jailerBeside(firecrackerBin);
  const qemu = await qemuOrFault(options.qemuBin, run);
  const firecracker = { firecrackerBin, jailerBin, jail: "namespace" } as const;
  return {
    qemu: qemu.fault,
    firecracker: await faultOf(() => lookAtHost(firecracker)),
    jailer: await faultOf(() => findProgram(jailerBin, "jailer")),
    deviceMapper: await deviceMapperFault(run),
    kvm: wishes.accelerator === "tcg" ? "not looked for" : await kvm(options, qemu.version),
  };
}

async function faultOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Where the guest's kernel and initramfs lie. */
export function kernelFiles(dataDir: string): { kernel: string; initrd: string } {
  return {
    kernel: join(dataDir, "kernels", "vmlinux"),
    initrd: join(dataDir, "kernels", "initrd.img"),
  };
}

async function qemuOrFault(
  qemuBin: string,
  run: RunCommand,
): Promise<{ version?: QemuVersion; fault: string | undefined }> {
  try {
    return { version: await readQemuVersion(qemuBin, run), fault: undefined };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}

/** Without QEMU nothing can be proved: a device that opens is taken for KVM. */
async function kvm(
  { wishes, dataDir, kernel, initrd, qemuBin }: FactsOptions,
  version: QemuVersion | undefined,
): Promise<string | undefined> {
  if (version === undefined) return await kvmDeviceFault();
  return await kvmFault({
    ...{ qemuBin, version, kernel, initrd },
    tscKhz: tscKhzOf(await Deno.readTextFile("/proc/cpuinfo")),
    demanded: wishes.accelerator === "kvm" || wishes.vmm === "firecracker",
    cacheFile: join(dataDir, "accel.json"),
  });
}
