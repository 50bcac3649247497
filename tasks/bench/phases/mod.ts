/**
 * Everything that is measured, in the order it is done.
 *
 * @module
 */
import { burstPoolPhase } from "./burst.ts";
import { createPhase } from "./create.ts";
import { execPhase } from "./exec.ts";
import { filesPhase } from "./files.ts";
import { forkPhase } from "./fork.ts";
import { hibernatePhase } from "./hibernate.ts";
import { idlePhase } from "./idle.ts";
import { pausePhase } from "./pause.ts";
import type { Phase } from "./phase.ts";
import { restorePhase } from "./restore.ts";

export type { LocalHost, Phase, PhaseContext } from "./phase.ts";

/** Phases in order; neighbours that need the same pool share a platform. */
export const PHASES: readonly Phase[] = [
  createPhase,
  execPhase,
  pausePhase,
  hibernatePhase,
  forkPhase,
  idlePhase,
  filesPhase,
  burstPoolPhase,
  restorePhase,
];
