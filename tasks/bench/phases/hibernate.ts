/** `hibernate` and `wake` of a sandbox that has 32 MB of memory which its snapshot has not. */
import { checkMemory, HELD_BYTES, holdMemory } from "./held_memory.ts";
import { type Phase, WARM_POOL } from "./phase.ts";
import { fullPool, sampled, warmBox } from "./sampling.ts";

/**
 * A new sandbox each time: a second hibernation of the same one would write only what has changed since the first.
 * A wake counts when the process is still there with every byte.
 */
export const hibernatePhase: Phase = {
  name: "hibernate",
  pool: WARM_POOL,
  rows: ["hibernate", "wake"],
  compared: true,
  strict: false,
  run: async (context) => {
    const { record, runs, say } = context;
    say(`hibernate, wake: ${runs.hibernations} sandboxes`);
    await sampled(context, hibernatePhase.rows, runs.hibernations, async () => {
      const { value: box } = await warmBox(context);
      await using _ = box;
      const { value: checksum } = await box.exec(holdMemory(HELD_BYTES));
      await fullPool(context);
      record.add("hibernate", (await box.hibernate()).ms);
      const { ms } = await box.resume();
      await box.expect(checkMemory(), checksum.trim());
      record.add("wake", ms);
    });
  },
};
