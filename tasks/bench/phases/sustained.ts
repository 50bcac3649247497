/** How many sandboxes a second come and go when nobody waits for the pool. */
import { hundredth, type Spread, spread } from "../stats.ts";
import type { PhaseContext } from "./phase.ts";
import { ECHO, ECHO_OUTPUT } from "./sampling.ts";

/** Creates, each with a first command and a destroy, one after the other as fast as they go. */
export interface Sustained extends Spread {
  /** Warm machines that the platform keeps. */
  readonly pool: number;
  readonly failed: number;
  /** Sandboxes per second that came, ran their command and went. */
  readonly per_second: number;
  /** Creates that found a warm machine; null when the pool cannot be asked. */
  readonly hits: number | null;
  /** The first failure. */
  readonly note: string | null;
}

/** Measures the rate and the time from the create to the command's output. */
export async function sustainedRate(context: PhaseContext): Promise<void> {
  const { api, gauge, runs, say, signal, sustained, poolSize = 0 } = context;
  say(`sustained rate: ${runs.sustained} sandboxes`);
  const before = await gauge?.pool();
  const times: number[] = [];
  let note: string | null = null;
  const began = performance.now();
  for (let i = 0; i < runs.sustained; i++) {
    try {
      const start = performance.now();
      const { value: box } = await api.create();
      await using _ = box;
      await box.expect(ECHO, ECHO_OUTPUT);
      times.push(performance.now() - start);
    } catch (error) {
      signal.throwIfAborted();
      note ??= error instanceof Error ? error.message : String(error);
    }
  }
  const seconds = (performance.now() - began) / 1000;
  const after = await gauge?.pool();
  sustained.push({
    pool: poolSize,
    ...spread(times),
    failed: runs.sustained - times.length,
    per_second: hundredth(times.length / seconds),
    hits: after && before ? after.hits - before.hits : null,
    note,
  });
}
