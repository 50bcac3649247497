/** The host's device-mapper, by `dmsetup`. */
import { CommandError, type RunCommand, runCommand } from "@wrenn/common";
import {
  DEVICE_COLUMNS,
  DEVICE_SEPARATOR,
  type DmDevice,
  readDevices,
} from "../../core/dm_devices.ts";
import { readSnapshotStatus, type SnapshotStatus } from "../../core/dm_status.ts";

const NODES = "/dev/mapper";

/** Path of a device's node. */
export function nodeOf(name: string): string {
  return `${NODES}/${name}`;
}

/** Makes, changes and removes devices. Without a table in force a device is suspended and takes no I/O. */
export class DeviceMapper {
  readonly #run: RunCommand;

  /** @param run Runs `dmsetup`. */
  constructor(run: RunCommand = runCommand) {
    this.#run = run;
  }

  /** All devices of the host by name. */
  async devices(): Promise<Map<string, DmDevice>> {
    const columns = ["-o", DEVICE_COLUMNS, "--noheadings", "--separator", DEVICE_SEPARATOR];
    return readDevices(await this.#dmsetup(["info", "-c", ...columns]));
  }

  /** Makes a device, its node root's alone. On failure there is none. */
  async create(name: string, table: string, { readOnly }: { readOnly: boolean }): Promise<void> {
    const mode = ["--uid", "0", "--gid", "0", "--mode", "0600"];
    await this.#dmsetup(["create", ...mode, ...(readOnly ? ["--readonly"] : []), name], table);
  }

  /** Loads another table, which is in force when the device is resumed. */
  async load(name: string, table: string): Promise<void> {
    await this.#dmsetup(["load", name], table);
  }

  /** Takes back a table that was loaded and is not in force. */
  async clear(name: string): Promise<void> {
    await this.#dmsetup(["clear", name]);
  }

  /**
   * Waits for the I/O under way and lets none begin. What was written through the page cache is written out first,
   * unless `now` is set.
   */
  async suspend(
    names: readonly string[],
    { now = false }: { now?: boolean } = {},
  ): Promise<void> {
    const flags = now ? ["--noflush", "--nolockfs"] : [];
    if (names.length > 0) await this.#dmsetup(["suspend", ...flags, ...names]);
  }

  /** Lets I/O go on, by the table that was loaded last. */
  async resume(names: readonly string[]): Promise<void> {
    if (names.length > 0) await this.#dmsetup(["resume", ...names]);
  }

  /** Fails all I/O of a device from now on, and what waits because it is suspended. */
  async fail(name: string): Promise<void> {
    await this.#dmsetup(["wipe_table", "--noflush", "--nolockfs", name]);
  }

  /** Removes devices one after the other. */
  async remove(names: readonly string[]): Promise<void> {
    if (names.length > 0) await this.#dmsetup(["remove", ...names]);
  }

  /** Removes a device. False when somebody has it open. */
  async removeIfClosed(name: string): Promise<boolean> {
    try {
      await this.remove([name]);
      return true;
    } catch (error) {
      if (error instanceof CommandError && /busy/i.test(error.result.stderr)) return false;
      throw error;
    }
  }

  /** What the kernel says of a snapshot device. */
  async status(name: string): Promise<SnapshotStatus> {
    return readSnapshotStatus(await this.#dmsetup(["status", name]));
  }

  /** Where udev runs it would own the nodes and change their access behind our back. */
  async #dmsetup(args: readonly string[], stdin?: string): Promise<string> {
    const options = stdin === undefined ? {} : { stdin };
    return (await this.#run(["env", "DM_DISABLE_UDEV=1", "dmsetup", ...args], options)).stdout;
  }
}
