/** `create_restore` and `burst20_wall`: no warm machine, the golden snapshot is there. */
import { burst } from "./burst.ts";
import type { Phase, PhaseContext } from "./phase.ts";
import { ECHO, ECHO_OUTPUT, sampled } from "./sampling.ts";

/** Sandboxes of these rows are restored from the template's golden snapshot. */
export const restorePhase: Phase = {
  name: "restore",
  pool: 0,
  rows: ["create_restore", "burst20_wall"],
  compared: true,
  strict: true,
  run: async (context) => {
    const { api, record, paths, runs, say } = context;
    await makeGolden(context);
    say(`create_restore: ${runs.creates} sandboxes`);
    await sampled(context, ["create_restore"], runs.creates, async () => {
      const { value: box, answer } = await api.create();
      await using _ = box;
      record.add("create_restore", answer.ms);
      paths.add("create_restore", answer.ms, answer.timing);
      if (answer.timing.has("boot")) {
        record.note("create_restore", "A sandbox was booted, not restored");
      }
    });
    say(`burst20_wall: ${runs.bursts} times`);
    await sampled(context, ["burst20_wall"], runs.bursts, () => burst(context, "burst20_wall"));
  },
};

/** The first sandbox of a size makes the snapshot; it does not count. */
async function makeGolden({ api }: PhaseContext): Promise<void> {
  const { value: box } = await api.create();
  await using _ = box;
  await box.expect(ECHO, ECHO_OUTPUT);
}
