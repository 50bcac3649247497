/** Choosing what the agent runs with, and opening it: the driver of machines and the store of disks. */
import { ConfigError, logger } from "@wrenn/common";
import type { AgentConfig } from "../config.ts";
import { choiceSentence, choosePlatform, type PlatformChoice } from "../core/platform_choice.ts";
import { DmStore } from "../rootfs/dm/dm_store.ts";
import { watchSpace } from "../rootfs/dm/space_watch.ts";
import { Qcow2Store } from "../rootfs/qcow2_store.ts";
import type { RootfsStore } from "../rootfs/store.ts";
import type { VmmDriver } from "../vmm/driver.ts";
import { FirecrackerDriver } from "../vmm/firecracker/driver.ts";
import { QemuDriver } from "../vmm/qemu/driver.ts";
import { kernelFiles, readPlatformFaults } from "./facts.ts";
import { readHeldData, writeChoice } from "./held_data.ts";

/** What of the configuration it depends on. */
export type PlatformConfig = Pick<
  AgentConfig,
  | "dataDir"
  | "vmm"
  | "jail"
  | "accelerator"
  | "rootfs"
  | "qemuBin"
  | "firecrackerBin"
  | "jailerBin"
  | "layerMb"
  | "diskReserveMb"
>;

/** What the agent runs with. */
export interface Platform {
  readonly choice: PlatformChoice;
  readonly vmm: VmmDriver;
  readonly rootfs: RootfsStore;
  /** Guest kernel. */
  readonly kernel: string;
  /** Its initramfs. */
  readonly initrd: string;
  /** Begins to look after the disks: once what a dead agent left is cleared. Disposing of it ends that. */
  readonly startWatch: () => AsyncDisposable;
}

/**
 * Looks at host and data, chooses, tells it in one log line and opens.
 *
 * @throws {ConfigError} When what was asked for cannot be had; without guest kernel and initramfs.
 */
export async function openPlatform(config: PlatformConfig): Promise<Platform> {
  const { dataDir } = config;
  const { kernel, initrd } = kernelFiles(dataDir);
  await required(kernel);
  await required(initrd);
  const held = await readHeldData(dataDir);
  const faults = await readPlatformFaults({ ...config, wishes: config, kernel, initrd });
  const choice = choosePlatform(config, faults, held);
  const { vmm, accelerator, rootfs } = choice;
  logger("agent", "platform").info(choiceSentence(choice), { vmm, accelerator, rootfs });
  const opened = {
    ...{ choice, kernel, initrd },
    vmm: await openDriver(choice, config, { kernel, initrd }),
    ...await openStore(choice, config),
  };
  await writeChoice(dataDir, choice);
  return opened;
}

async function openDriver(
  { vmm, jail, accelerator }: PlatformChoice,
  { dataDir, qemuBin, firecrackerBin, jailerBin }: PlatformConfig,
  guest: { kernel: string; initrd: string },
): Promise<VmmDriver> {
  switch (vmm) {
    case "qemu":
      return await QemuDriver.open({ dataDir, ...guest, accelerator, qemuBin });
    case "firecracker":
      return await FirecrackerDriver.open({
        ...{ dataDir, ...guest, firecrackerBin, jail },
        ...(jailerBin === undefined ? {} : { jailerBin }),
      });
  }
}

async function openStore(
  { rootfs }: PlatformChoice,
  { dataDir, diskReserveMb: reserveMb, layerMb }: PlatformConfig,
): Promise<Pick<Platform, "rootfs" | "startWatch">> {
  if (rootfs === "qcow2") {
    const nothing = { [Symbol.asyncDispose]: () => Promise.resolve() };
    return { rootfs: new Qcow2Store({ dataDir, reserveMb }), startWatch: () => nothing };
  }
  const limit = layerMb === undefined ? {} : { cowMb: layerMb };
  const store = new DmStore({ dataDir, reserveMb, ...limit });
  // A dead agent may have held I/O, and a process whose I/O waits cannot be ended.
  await store.health.hold(false);
  return { rootfs: store, startWatch: () => watching(store, reserveMb) };
}

function watching({ health }: DmStore, reserveMb: number): AsyncDisposable {
  const stop = new AbortController();
  const watch = watchSpace({ health, reserveMb, signal: stop.signal });
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await watch;
    },
  };
}

async function required(path: string): Promise<void> {
  try {
    await Deno.stat(path);
  } catch (cause) {
    throw new ConfigError(
      `Wrong configuration: WRENN_DATA_DIR: no '${path}', build it with 'deno task images build'`,
      { cause },
    );
  }
}
