/** A machine that has no guest yet: nothing is known of it, or it has been described and may start. */
import {
  callName,
  type OutputCall,
  putAction,
  putSnapshotLoad,
  type SetupCall,
} from "../../core/firecracker_calls.ts";
import type { CallOptions, FirecrackerApi } from "./api_client.ts";
import type { SnapshotLoad } from "./api_types.ts";
import { MachinePhase } from "./machine_phase.ts";
import { PausedMachine, RunningMachine } from "./started_machine.ts";

/** The kernel is read from the disk, and page tables are built. */
const START_TIMEOUT_MS = 30_000;

/**
 * A process of which nothing is configured but its log and figures. It becomes a machine by one of two ways: it is
 * described and started, or it loads a snapshot.
 */
export class FreshMachine extends MachinePhase {
  /** Tells it from the other phases. */
  readonly phase: "fresh" = "fresh";

  /** Sets where log and figures go. @throws {FirecrackerError} */
  async setOutput(call: OutputCall, options?: CallOptions): Promise<void> {
    await this.ask(call, options);
  }

  /**
   * Describes the machine, call after call. A failure ends this phase: the process has part of a description.
   *
   * @throws {FirecrackerError}
   */
  async configure(
    calls: readonly (OutputCall | SetupCall)[],
    options?: CallOptions,
  ): Promise<ConfiguredMachine> {
    return await this.leave(
      calls[0] ? callName(calls[0]) : "nothing",
      (api) => sendAll(api, calls, options),
      (api) => new ConfiguredMachine(api),
      "ends",
    );
  }

  /**
   * Loads a snapshot; the vCPUs run when `resume_vm` is set. A failure ends this phase, and Firecracker ends itself.
   *
   * @throws {FirecrackerError}
   */
  load(
    body: SnapshotLoad & { readonly resume_vm: true },
    options?: CallOptions,
  ): Promise<RunningMachine>;
  load(
    body: SnapshotLoad & { readonly resume_vm?: false },
    options?: CallOptions,
  ): Promise<PausedMachine>;
  async load(
    body: SnapshotLoad,
    options?: CallOptions,
  ): Promise<RunningMachine | PausedMachine> {
    const call = putSnapshotLoad(body);
    return await this.leave(
      callName(call),
      (api) => api.send(call, { timeoutMs: START_TIMEOUT_MS, ...options }),
      (api) => body.resume_vm ? new RunningMachine(api) : new PausedMachine(api),
      "ends",
    );
  }
}

/** A machine that is described. What is described again replaces what was said before. */
export class ConfiguredMachine extends MachinePhase {
  /** Tells it from the other phases. */
  readonly phase: "configured" = "configured";

  /** Describes more of it. What comes before a call that is refused stays. @throws {FirecrackerError} */
  async configure(
    calls: readonly (OutputCall | SetupCall)[],
    options?: CallOptions,
  ): Promise<void> {
    for (const call of calls) await this.ask(call, options);
  }

  /** Starts the guest. @throws {FirecrackerError} */
  async start(options?: CallOptions): Promise<RunningMachine> {
    const call = putAction("InstanceStart");
    return await this.leave(
      callName(call),
      (api) => api.send(call, { timeoutMs: START_TIMEOUT_MS, ...options }),
      (api) => new RunningMachine(api),
    );
  }
}

async function sendAll(
  api: FirecrackerApi,
  calls: readonly (OutputCall | SetupCall)[],
  options?: CallOptions,
): Promise<void> {
  for (const call of calls) await api.send(call, options);
}
