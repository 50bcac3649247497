/** The density run: many sandboxes at once, a tenth of them running, and what they take together. */
import { delay } from "@wrenn/common";
import { launch } from "./launch.ts";
import type { LocalHost } from "./phases/mod.ts";
import type { Argv, Box, SandboxApi } from "./sandbox_api.ts";
import { hundredth } from "./stats.ts";

/** What the run has shown. */
export interface Density {
  /** Sandboxes that lived at once. */
  readonly sandboxes: number;
  readonly running: number;
  readonly paused: number;
  readonly hibernated: number;
  /** Proportional memory of all VMMs, MB. */
  readonly vmm_pss_mb: number;
  /** Virtual machine monitors: the running and the paused sandboxes'. */
  readonly vmms: number;
  readonly agent_pss_mb: number;
  /** Both together. */
  readonly pss_mb: number;
  readonly limit_mb: number;
  /** Sandboxes that afterwards answered with what they had been told before. */
  readonly answered: number;
  /** Within the limit, and every one has answered. */
  readonly met: boolean;
  /** The first failure. */
  readonly note: string | null;
}

/** What it works with. */
export interface DensityOptions {
  readonly api: SandboxApi;
  readonly host: LocalHost;
  /** Sandboxes at once. */
  readonly count: number;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** Time between the last change and the look at the memory. Default 3 s. */
  readonly settleMs?: number;
}

/** Memory that a hundred sandboxes may take. */
const LIMIT_MB = 8192;
/** Starts at once: none waits long, and the machine is not only starting. */
const LANES = 2;
const SETTLE_MS = 3000;

type State = "running" | "paused" | "hibernated";

interface Member {
  readonly box: Box;
  readonly state: State;
}

/** Which state the sandbox of this number is brought to: one of ten runs, the others are paused and hibernated by turns. */
export function stateOf(index: number): State {
  const digit = index % 10;
  if (digit === 0) return "running";
  return digit % 2 === Math.floor(index / 10) % 2 ? "paused" : "hibernated";
}

/** Makes the sandboxes, looks at the memory, and asks each one. */
export async function runDensity(options: DensityOptions): Promise<Density> {
  const { host: { agentPid, processes, runDir }, count, say, signal } = options;
  await using boxes = new AsyncDisposableStack();
  say(`density: ${count} sandboxes`);
  const members = await fill(options, boxes);
  await delay(options.settleMs ?? SETTLE_MS, signal);
  const pids = await processes.vmms(runDir);
  const sizes = await Promise.all(pids.map((pid) => processes.memory(pid)));
  const vmmMb = sizes.reduce((sum, { pssMb }) => sum + pssMb, 0);
  const agentMb = (await processes.memory(agentPid)).pssMb;
  say(`density: asking all of them`);
  const { answered, note } = await askAll(members, signal);
  const having = (state: State): number => members.filter((m) => m.state === state).length;
  return {
    sandboxes: members.length,
    running: having("running"),
    paused: having("paused"),
    hibernated: having("hibernated"),
    vmm_pss_mb: hundredth(vmmMb),
    vmms: pids.length,
    agent_pss_mb: hundredth(agentMb),
    pss_mb: hundredth(vmmMb + agentMb),
    limit_mb: LIMIT_MB,
    answered,
    met: answered === count && vmmMb + agentMb <= LIMIT_MB,
    note,
  };
}

/** Brings each one to its state before the next is made, so that few run at any time. */
async function fill(
  { api, count, say, signal }: DensityOptions,
  boxes: AsyncDisposableStack,
): Promise<Member[]> {
  const members: Member[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      signal.throwIfAborted();
      const { value: box } = await api.create();
      boxes.use(box);
      await box.exec(remember(box));
      const state = stateOf(index);
      if (state === "paused") await box.pause();
      if (state === "hibernated") await box.hibernate();
      members.push({ box, state });
      if (members.length % 10 === 0) say(`density: ${members.length} of ${count}`);
    }
  };
  const lanes = await launch(LANES, 0, lane, signal);
  for (const { outcome } of lanes) if (outcome.status === "rejected") throw outcome.reason;
  return members;
}

/** One after the other; each goes when it has answered, so that its memory is there for the next. */
async function askAll(
  members: readonly Member[],
  signal: AbortSignal,
): Promise<{ answered: number; note: string | null }> {
  let answered = 0;
  let note: string | null = null;
  for (const { box, state } of members) {
    try {
      if (state !== "running") await box.resume();
      await box.expect(["cat", "/tmp/who"], `${box.id}\n`);
      answered++;
    } catch (error) {
      signal.throwIfAborted();
      note ??= error instanceof Error ? error.message : String(error);
    }
    await box.destroy();
  }
  return { answered, note };
}

/** Leaves its id in the sandbox, where no other one has it. */
function remember({ id }: Box): Argv {
  return ["sh", "-c", `echo ${id} > /tmp/who`];
}
