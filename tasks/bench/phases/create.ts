/** `create_warm`, `create_to_echo`, `create_to_python`: one sandbox after the other, each from a full pool. */
import { sequential } from "../modes.ts";
import type { PeerTurn } from "../peers.ts";
import type { Argv } from "../sandbox_api.ts";
import { type Phase, type PhaseContext, WARM_POOL } from "./phase.ts";
import {
  ECHO,
  ECHO_OUTPUT,
  fullPool,
  noteMisses,
  PYTHON,
  PYTHON_OUTPUT,
  sampled,
  warmBox,
} from "./sampling.ts";
import { sustainedRate } from "./sustained.ts";

/** Creates of both rows are samples of `create_warm`. */
export const createPhase: Phase = {
  name: "create",
  pool: WARM_POOL,
  rows: ["create_warm", "create_to_echo", "create_to_python"],
  compared: true,
  strict: false,
  run: async (context) => {
    const before = await fullPool(context);
    await toOutput(context, "create_to_echo", ECHO, ECHO_OUTPUT);
    await toOutput(context, "create_to_python", PYTHON, PYTHON_OUTPUT, context.peerTurn);
    await noteMisses(context, before, createPhase.rows);
    const { record, modes, poolSize = 0 } = context;
    const echo = "create_to_echo";
    modes.push(sequential(poolSize, record.values(echo), record.runs(echo)));
    await sustainedRate(context);
  },
};

async function toOutput(
  context: PhaseContext,
  row: string,
  command: Argv,
  expected: string,
  before?: PeerTurn,
): Promise<void> {
  const { record, paths, runs, say } = context;
  say(`create_warm, ${row}: ${runs.creates} sandboxes`);
  await sampled(context, ["create_warm", row], runs.creates, async () => {
    await fullPool(context);
    await before?.();
    const start = performance.now();
    const { value: box, answer } = await context.api.create();
    await using _ = box;
    record.add("create_warm", answer.ms);
    await box.expect(command, expected);
    record.add(row, performance.now() - start);
    paths.add("create", answer.ms, answer.timing);
  });
}

/** A sandbox from a full pool that has run a command, for the phases that need one. */
export async function ranBox(context: PhaseContext): Promise<
  Awaited<ReturnType<typeof warmBox>>["value"]
> {
  const { value: box } = await warmBox(context);
  try {
    await box.expect(ECHO, ECHO_OUTPUT);
    return box;
  } catch (error) {
    await box.destroy();
    throw error;
  }
}
