/** What has been said of the stand-in's machine: the rules of the calls that describe one. */
import type {
  Balloon,
  BootSource,
  Drive,
  DriveUpdate,
  HotplugMemory,
  MachineConfig,
  MmdsConfig,
  NetworkInterface,
  NetworkInterfaceUpdate,
  NetworkOverride,
  Vsock,
} from "../api_types.ts";
import { NO_KERNEL, SECOND_ROOT, StandInFault } from "./stand_in_fault.ts";
import { networkDevices, type StandInFiles } from "./stand_in_files.ts";
import type { EngineMachine } from "./stand_in_engine.ts";
import type { SnapshotState } from "./stand_in_snapshot.ts";

/** What opens a TAP. */
const TUN = "/dev/net/tun";

/** Description of a machine. A call that is refused leaves it as it was. */
export class StandInConfig implements Disposable {
  readonly #files: StandInFiles;
  readonly #lentTaps: ReadonlySet<string>;
  #boot: BootSource | undefined;
  #machine: MachineConfig = { vcpu_count: 1, mem_size_mib: 128 };
  #drives: readonly Drive[] = [];
  #interfaces: readonly NetworkInterface[] = [];
  #vsock: Vsock | undefined;
  #vsockListener: Deno.Listener | undefined;
  #balloon: Balloon | undefined;
  #hotplug: HotplugMemory | undefined;
  #entropy = false;

  /** @param files What paths name. @param lentTaps TAPs that count as there although the host has none. */
  constructor(files: StandInFiles, lentTaps: ReadonlySet<string>) {
    this.#files = files;
    this.#lentTaps = lentTaps;
  }

  /** CPUs and memory. */
  get machine(): MachineConfig {
    return this.#machine;
  }

  /** The machine, for an engine. @throws {StandInFault} When it has a device that engines lack. */
  engineMachine(): EngineMachine {
    const lacking = [
      this.#vsock && "vsock",
      this.#balloon && "balloon",
      this.#hotplug && "memory to plug in",
    ].find((device) => device !== undefined);
    if (lacking) throw new StandInFault(`The stand-in's engine has no ${lacking}`);
    const [machine, drives, interfaces] = [this.#machine, this.#drives, this.#interfaces];
    return { machine, drives, interfaces, entropy: this.#entropy };
  }

  /** Memory that can be plugged in. */
  get hotplug(): HotplugMemory | undefined {
    return this.#hotplug;
  }

  /** `PUT /boot-source`. */
  async setBoot(boot: BootSource): Promise<void> {
    await this.#files.checkOpens(boot.kernel_image_path, "file", "read");
    if (boot.initrd_path !== undefined) {
      await this.#files.checkOpens(boot.initrd_path, "file", "read");
    }
    checkHugePages(this.#machine, boot, this.#balloon);
    this.#boot = boot;
  }

  /** `PUT /machine-config`. */
  setMachine(machine: MachineConfig): void {
    if ((this.#balloon?.amount_mib ?? 0) > machine.mem_size_mib) {
      throw new StandInFault("Machine config error: The balloon is larger than the memory");
    }
    checkHugePages(machine, this.#boot, this.#balloon);
    this.#machine = machine;
  }

  /** `PUT /drives/{id}`. */
  async setDrive(drive: Drive): Promise<void> {
    const others = this.#drives.filter((other) => other.drive_id !== drive.drive_id);
    if (drive.is_root_device && others.some((other) => other.is_root_device)) {
      throw new StandInFault(SECOND_ROOT);
    }
    await this.#checkDrive(drive);
    this.#drives = [...others, drive];
  }

  /** `PATCH /drives/{id}`. */
  async patchDrive({ drive_id, path_on_host }: DriveUpdate): Promise<void> {
    const drive = this.#drives.find((known) => known.drive_id === drive_id);
    if (!drive) throw new StandInFault(`There is no drive '${drive_id}'`);
    if (path_on_host === undefined) return;
    const next = { ...drive, path_on_host };
    await this.#checkDrive(next);
    this.#drives = this.#drives.map((known) => known === drive ? next : known);
  }

  /** `PUT /network-interfaces/{id}`. */
  async setInterface(one: NetworkInterface): Promise<void> {
    const others = this.#interfaces.filter((other) => other.iface_id !== one.iface_id);
    const mac = one.guest_mac?.toLowerCase();
    if (mac !== undefined && others.some((other) => other.guest_mac?.toLowerCase() === mac)) {
      throw new StandInFault(`Network config error: The MAC address is already in use: ${mac}`);
    }
    if (others.some((other) => other.host_dev_name === one.host_dev_name)) {
      throw new StandInFault(`The TAP '${one.host_dev_name}' is in use`);
    }
    await this.#checkTap(one.host_dev_name);
    this.#interfaces = [...others, one];
  }

  /** `PATCH /network-interfaces/{id}`. */
  patchInterface({ iface_id }: NetworkInterfaceUpdate): void {
    this.#knownInterface(iface_id);
  }

  /** `PUT /vsock`. Takes the socket, as Firecracker does. */
  async setVsock(vsock: Vsock): Promise<void> {
    await this.#files.checkFree(vsock.uds_path);
    const path = await this.#files.hostPath(vsock.uds_path);
    const listener = Deno.listen({ transport: "unix", path });
    this[Symbol.dispose]();
    this.#vsockListener = listener;
    this.#vsock = vsock;
  }

  /** `PUT /entropy`. */
  setEntropy(): void {
    this.#entropy = true;
  }

  /** `PUT /balloon`. */
  setBalloon(balloon: Balloon): void {
    if (balloon.amount_mib > this.#machine.mem_size_mib) {
      throw new StandInFault("Balloon config error: The balloon is larger than the memory");
    }
    checkHugePages(this.#machine, this.#boot, balloon);
    this.#balloon = balloon;
  }

  /** `PUT /mmds/config`. */
  setMmds({ network_interfaces }: MmdsConfig): void {
    for (const id of network_interfaces) this.#knownInterface(id);
  }

  /** `PUT /hotplug/memory`. */
  setHotplug(hotplug: HotplugMemory): void {
    this.#hotplug = hotplug;
  }

  /** `PATCH /hotplug/memory`. */
  plug(requestedMib: number): void {
    const { total_size_mib: total, block_size_mib: block = 2 } = this.#hotplug ?? {};
    if (total === undefined) throw new StandInFault("There is no memory to plug in");
    if (requestedMib > total || requestedMib % block !== 0) {
      throw new StandInFault(
        `Cannot plug in ${requestedMib} MiB of ${total} in blocks of ${block}`,
      );
    }
  }

  /** Checks that a guest could start, and answers from what. Everything is looked at once more. */
  async checkStarts(): Promise<BootSource> {
    if (!this.#boot) {
      throw new StandInFault(NO_KERNEL);
    }
    if (!this.#drives.some((drive) => drive.is_root_device)) {
      throw new StandInFault("There is no root drive");
    }
    await this.#files.checkKernel(this.#boot.kernel_image_path);
    for (const drive of this.#drives) await this.#checkDrive(drive);
    for (const one of this.#interfaces) await this.#checkTap(one.host_dev_name);
    return this.#boot;
  }

  /** What a snapshot has of the machine. */
  saved(): Pick<SnapshotState, "machine" | "drives" | "interfaces" | "vsock" | "entropy"> {
    // How much memory a snapshot then has is not certain.
    if (this.#hotplug) throw new StandInFault("Snapshots with hotpluggable memory are not certain");
    return {
      machine: this.#machine,
      drives: this.#drives,
      interfaces: this.#interfaces,
      entropy: this.#entropy,
      ...(this.#vsock ? { vsock: this.#vsock } : {}),
    };
  }

  /** Becomes the machine of a snapshot. */
  async restore(
    saved: SnapshotState,
    overrides: readonly NetworkOverride[],
    trackDirtyPages: boolean,
  ): Promise<void> {
    // Huge pages come back through a handler of page faults alone.
    if (saved.machine.huge_pages === "2M") throw new StandInFault("Huge pages from a file");
    this.#machine = { ...saved.machine, track_dirty_pages: trackDirtyPages };
    this.#interfaces = saved.interfaces;
    this.#entropy = saved.entropy ?? false;
    for (const { iface_id, host_dev_name } of overrides) {
      const next = { ...this.#knownInterface(iface_id), host_dev_name };
      this.#interfaces = this.#interfaces.map((one) => one.iface_id === iface_id ? next : one);
    }
    for (const one of this.#interfaces) await this.#checkTap(one.host_dev_name);
    for (const drive of saved.drives) await this.#checkDrive(drive);
    this.#drives = saved.drives;
    if (saved.vsock) await this.setVsock(saved.vsock);
  }

  /** Closes the vsock device's socket; its file stays. */
  [Symbol.dispose](): void {
    this.#vsockListener?.close();
    this.#vsockListener = undefined;
  }

  #knownInterface(id: string): NetworkInterface {
    const known = this.#interfaces.find((one) => one.iface_id === id);
    if (!known) throw new StandInFault(`There is no interface '${id}'`);
    return known;
  }

  async #checkDrive(drive: Drive): Promise<void> {
    const access = drive.is_read_only ? "read" : "write";
    await this.#files.checkOpens(drive.path_on_host, "disk", access);
  }

  /** Firecracker makes a TAP that is missing where it may; in our jail it may not. */
  async #checkTap(name: string): Promise<void> {
    if (this.#lentTaps.has(name)) return;
    if (name === "lo" || !(await networkDevices()).has(name)) {
      throw new StandInFault(`Network config error: Open tap device failed: ${name}`);
    }
    await this.#files.checkOpens(TUN, "output", "write");
  }
}

function checkHugePages(
  machine: MachineConfig,
  boot: BootSource | undefined,
  balloon: Balloon | undefined,
): void {
  if (machine.huge_pages !== "2M") return;
  if (boot?.initrd_path !== undefined || balloon) {
    throw new StandInFault("Huge pages go with neither an initrd nor a balloon");
  }
}
