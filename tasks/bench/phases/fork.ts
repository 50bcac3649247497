/** `fork8`: eight copies of a running sandbox. */
import { ranBox } from "./create.ts";
import { type Phase, WARM_POOL } from "./phase.ts";
import { fullPool, sampled, TRUE } from "./sampling.ts";

const COPIES = 8;

/** A fork counts when every copy answers. */
export const forkPhase: Phase = {
  name: "fork",
  pool: WARM_POOL,
  rows: ["fork8"],
  compared: true,
  strict: false,
  run: async (context) => {
    const { record, runs, say } = context;
    say(`fork8: ${runs.forks} times`);
    await using box = await ranBox(context);
    await sampled(context, forkPhase.rows, runs.forks, async () => {
      await fullPool(context);
      const { value: copies, answer } = await box.fork(COPIES);
      try {
        await Promise.all(copies.map((copy) => copy.exec(TRUE)));
      } finally {
        await Promise.all(copies.map((copy) => copy.destroy()));
      }
      record.add("fork8", answer.ms);
    });
  },
};
