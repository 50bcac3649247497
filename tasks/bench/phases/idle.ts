/** `idle_private_mb`, `idle_cpu_pct`: what a sandbox costs that was warm, has run a command, and does nothing. */
import { delay } from "@wrenn/common";
import type { Box } from "../sandbox_api.ts";
import { type LocalHost, type Phase, type PhaseContext, WARM_POOL } from "./phase.ts";
import { ECHO, ECHO_OUTPUT, fullPool, sampled } from "./sampling.ts";

/** The machines of the pool and the other sandboxes run meanwhile: pages that they share count for nobody. */
export const idlePhase: Phase = {
  name: "idle",
  pool: WARM_POOL,
  rows: ["idle_private_mb", "idle_cpu_pct"],
  compared: false,
  strict: false,
  run: async (context) => {
    const { host, record, runs, say } = context;
    say(`idle_private_mb, idle_cpu_pct: ${runs.idleSec} s`);
    await sampled(context, idlePhase.rows, 1, async () => {
      if (host === undefined) throw new Error("The platform's processes are not on this machine");
      await using boxes = new AsyncDisposableStack();
      const pids = await claimWatched(context, host, boxes);
      await fullPool(context);
      await watch(context, host, pids);
    });
    if (runs.idleSec < 20) {
      record.note("idle_cpu_pct", `Watched for ${runs.idleSec} s instead of 20`);
    }
  },
};

/** Makes as many sandboxes as there are warm machines, and finds their processes. */
async function claimWatched(
  context: PhaseContext,
  { processes, runDir }: LocalHost,
  boxes: AsyncDisposableStack,
): Promise<number[]> {
  const { api, gauge, runs } = context;
  const before = await fullPool(context);
  const count = before?.ready ?? runs.idle;
  const made = await Promise.all(Array.from({ length: count }, async (): Promise<Box> => {
    const { value: box } = await api.create();
    boxes.use(box);
    return box;
  }));
  for (const box of made) await box.expect(ECHO, ECHO_OUTPUT);
  const hits = before && ((await gauge?.pool())?.hits ?? 0) - before.hits;
  if (hits !== undefined && hits !== count) {
    throw new Error(`Only ${hits} of ${count} sandboxes were warm`);
  }
  return await Promise.all(made.map(async ({ id }) => {
    const pid = await processes.vmmOf(runDir, id);
    if (pid === undefined) throw new Error(`Cannot find the process of sandbox '${id}'`);
    return pid;
  }));
}

async function watch(
  { record, runs, signal }: PhaseContext,
  { processes }: LocalHost,
  pids: readonly number[],
): Promise<void> {
  const began = performance.now();
  const before = await Promise.all(pids.map((pid) => processes.cpuMs(pid)));
  await delay(runs.idleSec * 1000, signal);
  const after = await Promise.all(pids.map((pid) => processes.cpuMs(pid)));
  const elapsed = performance.now() - began;
  for (const [i, pid] of pids.entries()) {
    record.add("idle_cpu_pct", ((after[i] ?? NaN) - (before[i] ?? NaN)) / elapsed * 100);
    record.add("idle_private_mb", (await processes.memory(pid)).privateMb);
  }
}
