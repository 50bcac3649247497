/** A machine whose guest exists: its vCPUs run, or they stand still. */
import {
  callName,
  patchDrive,
  patchHotplugMemory,
  patchNetworkInterface,
  patchVm,
  putAction,
  putSnapshotCreate,
  type UpdateCall,
} from "../../core/firecracker_calls.ts";
import type { CallOptions } from "./api_client.ts";
import type {
  DriveUpdate,
  HotplugMemoryUpdate,
  NetworkInterfaceUpdate,
  SnapshotCreate,
} from "./api_types.ts";
import { MachinePhase } from "./machine_phase.ts";

/** Writing a whole memory takes as long as the host's disk does. */
const SNAPSHOT_TIMEOUT_MS = 120_000;

/** What may be asked of both. */
abstract class StartedMachine extends MachinePhase {
  /** Changes a disk, an interface or the memory. @throws {FirecrackerError} */
  async update(call: UpdateCall, options?: CallOptions): Promise<void> {
    await this.ask(call, options);
  }

  /** Gives a disk another file or other limits. @throws {FirecrackerError} */
  async patchDrive(body: DriveUpdate, options?: CallOptions): Promise<void> {
    await this.update(patchDrive(body), options);
  }

  /** Gives an interface other limits. @throws {FirecrackerError} */
  async patchNetworkInterface(body: NetworkInterfaceUpdate, options?: CallOptions): Promise<void> {
    await this.update(patchNetworkInterface(body), options);
  }

  /** Asks the guest to plug memory in or out; it takes its time. @throws {FirecrackerError} */
  async patchHotplugMemory(body: HotplugMemoryUpdate, options?: CallOptions): Promise<void> {
    await this.update(patchHotplugMemory(body), options);
  }

  /** Writes the figures now. @throws {FirecrackerError} */
  async flushMetrics(options?: CallOptions): Promise<void> {
    await this.ask(putAction("FlushMetrics"), options);
  }
}

/** A machine whose vCPUs run. */
export class RunningMachine extends StartedMachine {
  /** Tells it from the other phases. */
  readonly phase: "running" = "running";

  /** Stops the vCPUs. @throws {FirecrackerError} */
  async pause(options?: CallOptions): Promise<PausedMachine> {
    const call = patchVm("Paused");
    return await this.leave(
      callName(call),
      (api) => api.send(call, options),
      (api) => new PausedMachine(api),
    );
  }

  /** Presses the keys that ask the guest to end. @throws {FirecrackerError} */
  async sendCtrlAltDel(options?: CallOptions): Promise<void> {
    await this.ask(putAction("SendCtrlAltDel"), options);
  }
}

/** A machine whose vCPUs stand still. */
export class PausedMachine extends StartedMachine {
  /** Tells it from the other phases. */
  readonly phase: "paused" = "paused";

  /** Lets the vCPUs run. @throws {FirecrackerError} */
  async resume(options?: CallOptions): Promise<RunningMachine> {
    const call = patchVm("Resumed");
    return await this.leave(
      callName(call),
      (api) => api.send(call, options),
      (api) => new RunningMachine(api),
    );
  }

  /**
   * Writes the machine's state and memory to files and answers when they are on the disk.
   *
   * @throws {FirecrackerError} `refused` also for a Diff of a machine that does not track its pages.
   */
  async createSnapshot(body: SnapshotCreate, options?: CallOptions): Promise<void> {
    await this.ask(putSnapshotCreate(body), { timeoutMs: SNAPSHOT_TIMEOUT_MS, ...options });
  }
}
