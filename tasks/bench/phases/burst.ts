/** Many creates at once: `burst20_wall`, `burst20_pool_wall`, and the overlapping modes. */
import { launch } from "../launch.ts";
import { type Mode, overlapping, STAGGER_MS } from "../modes.ts";
import type { Box } from "../sandbox_api.ts";
import { LARGE_POOL, type Phase, type PhaseContext } from "./phase.ts";
import { ECHO, ECHO_OUTPUT, fullPool, noteMisses, sampled } from "./sampling.ts";

const BURST = 20;

/** Twenty creates at once with a warm machine for each, and the modes of ComputeSDK. */
export const burstPoolPhase: Phase = {
  name: "burst with a pool",
  pool: LARGE_POOL,
  rows: ["burst20_pool_wall"],
  compared: false,
  strict: true,
  run: async (context) => {
    const { runs, say } = context;
    say(`burst20_pool_wall: ${runs.bursts} times`);
    const before = await fullPool(context);
    await sampled(context, burstPoolPhase.rows, runs.bursts, async () => {
      await fullPool(context);
      await burst(context, "burst20_pool_wall");
    });
    await noteMisses(context, before, burstPoolPhase.rows);
    await runMode(context, "staggered", STAGGER_MS);
    await runMode(context, "burst", 0);
  },
};

/** One burst: all must succeed. The sandboxes go afterwards, untimed. */
export async function burst({ api, record, signal }: PhaseContext, row: string): Promise<void> {
  const launched = await launch(BURST, 0, () => api.create(), signal);
  const boxes: Box[] = [];
  let wall = 0;
  let failures = 0;
  let first: unknown;
  for (const { outcome, startMs } of launched) {
    if (outcome.status === "fulfilled") {
      boxes.push(outcome.value.value);
      wall = Math.max(wall, startMs + outcome.value.answer.ms);
    } else {
      failures++;
      first ??= outcome.reason;
    }
  }
  await Promise.all(boxes.map((box) => box.destroy()));
  if (failures > 0) {
    const reason = first instanceof Error ? first.message : String(first);
    throw new Error(`${failures} of ${BURST} creates failed: ${reason}`);
  }
  record.add(row, wall);
}

/** From each create to its first output; the sandbox goes when it has been measured. */
async function runMode(context: PhaseContext, mode: Mode, gapMs: number): Promise<void> {
  const { api, modes, runs, say, signal, poolSize = 0 } = context;
  say(`create_to_echo, ${mode}: ${runs.creates} sandboxes`);
  await fullPool(context);
  const launched = await launch(runs.creates, gapMs, async () => {
    const start = performance.now();
    const { value: box } = await api.create();
    await using _ = box;
    await box.expect(ECHO, ECHO_OUTPUT);
    return performance.now() - start;
  }, signal);
  modes.push(overlapping(mode, poolSize, launched));
}
