/** Looking at a host as an agent that starts would, and at all that it could have beside. What it finds out about KVM is kept, as an agent does. */
import { ConfigError, exists, type RunCommand, runCommand } from "@wrenn/common";
import { statfs } from "node:fs/promises";
import type { AgentConfig } from "../config.ts";
import { type DoctorReport, type Fact, factOf, reportOf } from "../core/doctor_report.ts";
import { choiceSentence, choosePlatform, type PlatformFaults } from "../core/platform_choice.ts";
import { namesIn } from "../rootfs/bases.ts";
import type { PlatformConfig } from "./open.ts";
import { missingControllers } from "../vmm/cgroup.ts";
import { kernelFiles, readPlatformFaults } from "./facts.ts";
import { readHeldData } from "./held_data.ts";

const MIB = 1024 * 1024;

/** What of the configuration it looks at. */
export type DoctorConfig =
  & Omit<PlatformConfig, "layerMb">
  & Pick<AgentConfig, "memoryReserveMb">;

/** Looks. Where KVM opens it starts a guest, unless an agent has done so since the host's start. */
export async function examine(
  config: DoctorConfig,
  run: RunCommand = runCommand,
): Promise<DoctorReport> {
  const { kernel, initrd } = kernelFiles(config.dataDir);
  const kernels = await exists(kernel) && await exists(initrd);
  // Without a kernel no guest can be started to prove KVM.
  const wishes = kernels ? config : { ...config, accelerator: "tcg" as const };
  const faults = await readPlatformFaults({ ...config, wishes, kernel, initrd, run });
  const images = (await namesIn(`${config.dataDir}/images`)).filter((n) => n.endsWith(".ext4"));
  const facts: Fact[] = [
    ...platformFacts(faults),
    await programFact("nftables", ["nft", "--version"], "install nftables", run),
    await programFact("network namespaces", ["ip", "netns", "list"], "install iproute2", run),
    await cgroupFact(),
    memoryFact(config.memoryReserveMb),
    await diskFact(config),
    factOf("guest kernel", kernels ? undefined : `no '${kernel}' and '${initrd}'`, {
      advice: "deno task images build",
      needed: true,
    }),
    factOf("images", images.length > 0 ? undefined : `none in '${config.dataDir}/images'`, {
      advice: "deno task images build",
      detail: images.map((name) => name.replace(/\.ext4$/, "")).join(", "),
    }),
  ];
  return reportOf(await verdict(config, faults), facts);
}

async function verdict(
  config: DoctorConfig,
  faults: PlatformFaults,
): Promise<{ sentence: string } | { refusal: string }> {
  try {
    const held = await readHeldData(config.dataDir);
    return { sentence: choiceSentence(choosePlatform(config, faults, held)) };
  } catch (error) {
    if (error instanceof ConfigError) return { refusal: error.message };
    throw error;
  }
}

function platformFacts({ kvm, qemu, firecracker, jailer, deviceMapper }: PlatformFaults): Fact[] {
  return [
    factOf("KVM", kvm, { advice: "without it guests are emulated; switch virtualisation on" }),
    factOf("QEMU", qemu, { advice: "install qemu-system-x86" }),
    factOf("Firecracker", firecracker, { advice: "install it or set WRENN_FIRECRACKER_BIN" }),
    factOf("jailer", jailer, { advice: "install it or set WRENN_JAILER_BIN" }),
    factOf("device-mapper and loop", deviceMapper, {
      advice: "install dmsetup, load dm-snapshot and loop",
    }),
  ];
}

async function programFact(
  name: string,
  argv: readonly [string, ...string[]],
  advice: string,
  run: RunCommand,
): Promise<Fact> {
  const fault = await run(argv).then(
    () => undefined,
    (error: unknown) => error instanceof Error ? error.message : String(error),
  );
  return factOf(name, fault, { advice, needed: true });
}

async function cgroupFact(): Promise<Fact> {
  const missing = await missingControllers();
  const fault = missing.length === 0 ? undefined : `no controllers ${missing.join(", ")}`;
  return factOf("cgroup v2", fault, { advice: "mount cgroup2; without it VMs have no limits" });
}

function memoryFact(reserveMb: number): Fact {
  const availableMb = Math.floor(Deno.systemMemoryInfo().available / MIB);
  const detail = `${availableMb} MiB available, ${reserveMb} MiB stay free`;
  return factOf("memory", availableMb > reserveMb ? undefined : detail, {
    ...{ advice: "free some, or lower WRENN_MEMORY_RESERVE_MB", detail },
  });
}

async function diskFact({ dataDir, diskReserveMb }: DoctorConfig): Promise<Fact> {
  const advice = "free some, or lower WRENN_DISK_RESERVE_MB";
  try {
    const { bavail, bsize } = await statfs(dataDir);
    const freeMb = Math.floor(bavail * bsize / MIB);
    const detail = `${freeMb} MiB free, ${diskReserveMb} MiB stay free`;
    return factOf("disk space", freeMb > diskReserveMb ? undefined : detail, { advice, detail });
  } catch {
    return factOf("disk space", `no '${dataDir}'`, { advice: "deno task images build" });
  }
}
