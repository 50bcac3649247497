/** `pause` and `resume` of a sandbox whose process stays. */
import { ranBox } from "./create.ts";
import { type Phase, WARM_POOL } from "./phase.ts";
import { fullPool, sampled, TRUE } from "./sampling.ts";

/** One sandbox, over and over; a command between two rounds proves that it runs. */
export const pausePhase: Phase = {
  name: "pause",
  pool: WARM_POOL,
  rows: ["pause", "resume"],
  compared: true,
  strict: false,
  run: async (context) => {
    const { record, runs, say } = context;
    say(`pause, resume: ${runs.pauses} times`);
    await using box = await ranBox(context);
    await fullPool(context);
    await sampled(context, pausePhase.rows, runs.pauses, async () => {
      record.add("pause", (await box.pause()).ms);
      record.add("resume", (await box.resume()).ms);
      await box.exec(TRUE);
    });
  },
};
