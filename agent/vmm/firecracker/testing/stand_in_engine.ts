/** What runs a guest behind the stand-in's API. */
import type { BootSource, Drive, MachineConfig, NetworkInterface } from "../api_types.ts";
import type { StandInConsole } from "./stand_in_console.ts";
import type { StandInFiles } from "./stand_in_files.ts";

/** Devices and size of a machine. */
export interface EngineMachine {
  readonly machine: MachineConfig;
  readonly drives: readonly Drive[];
  readonly interfaces: readonly NetworkInterface[];
  /** Whether it has a source of random numbers. */
  readonly entropy: boolean;
}

/** What an engine is made for. */
export interface EngineHost {
  /** What the paths in calls name. */
  readonly files: StandInFiles;
  /** Takes what the guest writes to its serial port. */
  readonly console: StandInConsole;
}

/** A snapshot to continue from. */
export interface EngineSnapshot {
  /** File of a line and then the state of CPUs and devices, by its path on the host. */
  readonly state: string;
  /** File of the whole memory, by its path on the host. It is never written. */
  readonly memory: string;
}

/** One guest. Every method but the first two needs one that was started; all of them throw a `StandInFault`. */
export interface StandInEngine {
  /** A snapshot loads only where this is the same: `qemu 7.2.22 tcg`. */
  readonly name: string;
  /** Settles with the exit code of the process when the guest has ended, and never before it was started. */
  readonly ended: Promise<number>;
  /** Starts a guest, whose vCPUs then run. When that fails nothing is left of it. */
  start(machine: EngineMachine, boot: BootSource): Promise<void>;
  /** Continues from a snapshot; the vCPUs stand still. */
  load(machine: EngineMachine, from: EngineSnapshot): Promise<void>;
  /** Stops the vCPUs. Idempotent. */
  pause(): Promise<void>;
  /** Lets the vCPUs run. Idempotent. */
  resume(): Promise<void>;
  /** Presses Ctrl-Alt-Del. */
  sendCtrlAltDel(): Promise<void>;
  /** The state of CPUs and devices, written to a file of the host that is free to be used. */
  saveState(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Writes memory to a file of the whole memory's size: all of it, or the pages whose content changed since the
   * last time and nothing else.
   */
  writeMemory(file: Deno.FsFile, kind: "Full" | "Diff"): Promise<void>;
}
