/** `exec_true`: a command on a running sandbox. */
import { ranBox } from "./create.ts";
import { type Phase, WARM_POOL } from "./phase.ts";
import { fullPool, sampled, TRUE } from "./sampling.ts";

const UNCOUNTED = 5;

/** One sandbox, after a few commands that do not count. */
export const execPhase: Phase = {
  name: "exec",
  pool: WARM_POOL,
  rows: ["exec_true"],
  compared: true,
  strict: false,
  run: async (context) => {
    const { record, paths, runs, say } = context;
    say(`exec_true: ${runs.execs} times`);
    await using box = await ranBox(context);
    await fullPool(context);
    for (let i = 0; i < UNCOUNTED; i++) await box.exec(TRUE);
    await sampled(context, execPhase.rows, runs.execs, async () => {
      const { answer } = await box.exec(TRUE);
      record.add("exec_true", answer.ms);
      paths.add("exec", answer.ms, answer.timing);
    });
  },
};
