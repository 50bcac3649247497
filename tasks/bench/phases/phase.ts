/** What every part of the measurement is, and what it is given. */
import type { PathLog } from "../breakdown.ts";
import type { ModeResult } from "../modes.ts";
import type { PeerTurn } from "../peers.ts";
import type { PoolGauge } from "../pool_gauge.ts";
import type { ProcessTable } from "../processes.ts";
import type { Recorder } from "../recorder.ts";
import type { Runs } from "../runs.ts";
import type { SandboxApi } from "../sandbox_api.ts";
import type { Sustained } from "./sustained.ts";

/** Processes of a platform on this machine. */
export interface LocalHost {
  /** Run folder that every VMM's arguments name. */
  readonly runDir: string;
  readonly agentPid: number;
  readonly processes: ProcessTable;
}

/** What a phase works with. */
export interface PhaseContext {
  readonly api: SandboxApi;
  /** Undefined when the agent cannot be asked. */
  readonly gauge: PoolGauge | undefined;
  /** Undefined when the platform runs on another machine. */
  readonly host: LocalHost | undefined;
  /** Warm machines that the platform keeps; undefined when somebody else has set it. */
  readonly poolSize: number | undefined;
  /** Undefined when no peer is measured by turns. */
  readonly peerTurn: PeerTurn | undefined;
  readonly runs: Runs;
  readonly record: Recorder;
  readonly paths: PathLog;
  readonly modes: ModeResult[];
  readonly sustained: Sustained[];
  readonly say: (line: string) => void;
  /** Ends the run. */
  readonly signal: AbortSignal;
}

/** A part of the measurement that needs one kind of platform. */
export interface Phase {
  readonly name: string;
  /** Warm machines that the platform must keep: no more and no less. */
  readonly pool: number;
  /** Rows that it fills. */
  readonly rows: readonly string[];
  /** False: it says nothing about the difference between two commits, or takes too much for two platforms. */
  readonly compared: boolean;
  /** True: it makes no sense with another number of warm machines than `pool`. */
  readonly strict: boolean;
  readonly run: (context: PhaseContext) => Promise<void>;
}

/** Warm machines of the phases that take one at a time. */
export const WARM_POOL = 4;
/** Warm machines of the phases that take many at once. */
export const LARGE_POOL = 20;
