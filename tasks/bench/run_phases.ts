/** Running phases on platforms. */
import { HttpApi } from "./http_api.ts";
import type { PeerTurn } from "./peers.ts";
import type { Phase, PhaseContext } from "./phases/mod.ts";
import type { BenchPlatform } from "./platforms.ts";
import type { Results } from "./results.ts";
import type { Runs } from "./runs.ts";
import { SandboxApi, type SandboxShape } from "./sandbox_api.ts";

/** What every phase of a run has in common. */
export interface RunOptions {
  readonly shape: SandboxShape;
  readonly runs: Runs;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A platform with its connection. */
export interface OpenPlatform extends Disposable {
  readonly platform: Omit<BenchPlatform, typeof Symbol.asyncDispose>;
  readonly api: SandboxApi;
}

/** Opens the connection that all phases use. */
export function openPlatform(
  platform: OpenPlatform["platform"],
  { shape, signal }: RunOptions,
): OpenPlatform {
  const http = new HttpApi({ url: platform.url, key: platform.key, signal });
  return {
    platform,
    api: new SandboxApi(http, shape),
    [Symbol.dispose]: () => http[Symbol.dispose](),
  };
}

/** Phases by the pool that they need, in order. */
export function byPool(phases: readonly Phase[]): { pool: number; phases: Phase[] }[] {
  const groups: { pool: number; phases: Phase[] }[] = [];
  for (const phase of phases) {
    const found = groups.find(({ pool }) => pool === phase.pool);
    if (found) found.phases.push(phase);
    else groups.push({ pool: phase.pool, phases: [phase] });
  }
  return groups;
}

/** Phases that fill at least one of these rows; all of them when no row is named. */
export function wantedPhases(phases: readonly Phase[], only: readonly string[]): Phase[] {
  return phases.filter(({ rows }) => only.length === 0 || rows.some((row) => only.includes(row)));
}

/**
 * Runs one phase. What breaks it is a failure of the rows that it has not come to, and the others go on.
 *
 * @throws The signal's reason.
 */
export async function runPhase(
  phase: Phase,
  { api, platform }: OpenPlatform,
  results: Results,
  { runs, say, signal }: RunOptions,
  peerTurn?: PeerTurn,
): Promise<void> {
  const { record } = results;
  if (phase.strict && platform.poolSize !== phase.pool) {
    for (const row of phase.rows) {
      record.note(row, `Left out: needs a platform with ${phase.pool} warm machines`);
    }
    return;
  }
  const { agent: gauge, host, poolSize } = platform;
  const context: PhaseContext = {
    ...results,
    api,
    gauge,
    host,
    poolSize,
    peerTurn,
    runs,
    say,
    signal,
  };
  const before = new Map(phase.rows.map((row) => [row, record.runs(row)]));
  try {
    await phase.run(context);
  } catch (error) {
    signal.throwIfAborted();
    say(`${phase.name}: ${error instanceof Error ? error.message : error}`);
    for (const row of phase.rows) if (record.runs(row) === before.get(row)) record.fail(row, error);
  }
}
