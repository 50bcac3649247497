/** What one measurement collects. */
import { PathLog } from "./breakdown.ts";
import type { ModeResult } from "./modes.ts";
import type { Sustained } from "./phases/sustained.ts";
import { Recorder } from "./recorder.ts";

/** Filled by the phases. */
export interface Results {
  readonly record: Recorder;
  readonly paths: PathLog;
  readonly modes: ModeResult[];
  readonly sustained: Sustained[];
}

/** Nothing measured yet. */
export function noResults(): Results {
  return { record: new Recorder(), paths: new PathLog(), modes: [], sustained: [] };
}
