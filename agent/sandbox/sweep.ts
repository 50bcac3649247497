/** Clearing what a dead agent left, and making sure that it is dead. */
import { join } from "node:path";
import { ConfigError, type HostId, isHostId, logger, newHostId } from "@wrenn/common";
import type { NetworkSlots } from "../network/slots.ts";
import type { RootfsStore } from "../rootfs/store.ts";
import type { VmmDriver } from "../vmm/driver.ts";
import { removeFolder } from "./start.ts";

/** What is swept. */
export interface SweepParts {
  readonly vmm: Pick<VmmDriver, "sweep">;
  readonly slots: Pick<NetworkSlots, "start">;
  readonly rootfs: Pick<RootfsStore, "sweep">;
  readonly runDir: string;
}

/** How much was left. */
export interface SweepResult {
  readonly machines: number;
  readonly disks: number;
  readonly runFolders: number;
}

/**
 * Clears every leftover, in the order that lets each go: machines hold TAPs and disks, so they end first; then
 * namespaces, then disks, then run folders. Safe to repeat.
 */
export async function sweep(parts: SweepParts): Promise<SweepResult> {
  const machines = await parts.vmm.sweep(parts.runDir);
  await parts.slots.start();
  const disks = await parts.rootfs.sweep(new Set());
  let runFolders = 0;
  for await (const entry of Deno.readDir(parts.runDir)) {
    // Only folders of sandboxes are ours: the operator may keep a socket beside them.
    if (!entry.isDirectory || !/^sb-[0-9a-f]{8}$/.test(entry.name)) continue;
    await removeFolder(join(parts.runDir, entry.name));
    runFolders++;
  }
  const result = { machines, disks, runFolders };
  logger("agent", "sweep").info("Swept", { ...result });
  return result;
}

/**
 * Takes the data folder for this process until disposed of. The kernel gives it back when the process dies.
 *
 * @throws {ConfigError} When another agent has it.
 */
export async function lockDataDir(dataDir: string): Promise<Disposable> {
  const file = await Deno.open(join(dataDir, "agent.lock"), {
    create: true,
    write: true,
    mode: 0o600,
  });
  if (await file.tryLock(true)) return file;
  file.close();
  throw new ConfigError(`Wrong configuration: WRENN_DATA_DIR: another agent uses '${dataDir}'`);
}

/** The host's id, made at the first start and kept in the data folder. */
export async function loadHostId(dataDir: string): Promise<HostId> {
  const path = join(dataDir, "host-id");
  const known = await Deno.readTextFile(path).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  const id = known?.trim();
  if (id !== undefined) {
    if (isHostId(id)) return id;
    throw new ConfigError(`Wrong configuration: WRENN_DATA_DIR: '${path}' holds no host id`);
  }
  const made = newHostId();
  // Whole or not at all, whenever the machine stops.
  using temporary = await Deno.open(`${path}.new`, { create: true, write: true, truncate: true });
  await temporary.write(new TextEncoder().encode(`${made}\n`));
  await temporary.sync();
  await Deno.rename(`${path}.new`, path);
  return made;
}
