/** What the phases share: repeating with failures counted, and taking a sandbox from a full pool. */
import { type PoolState, untilReady } from "../pool_gauge.ts";
import type { Argv, Box, Timed } from "../sandbox_api.ts";
import type { PhaseContext } from "./phase.ts";

/** After so many failures without a success between them a row is given up. */
const GIVE_UP = 3;

/**
 * Repeats `work`, which records its samples itself. A run that throws counts as a failure of every row that it left
 * without a sample; the signal's reason is thrown on.
 */
export async function sampled(
  { record, signal }: PhaseContext,
  rows: readonly string[],
  times: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let failures = 0;
  for (let index = 0; index < times && failures < GIVE_UP; index++) {
    const before = rows.map((row) => record.values(row).length);
    try {
      await work(index);
      failures = 0;
    } catch (error) {
      signal.throwIfAborted();
      failures++;
      rows.forEach((row, i) => {
        if (record.values(row).length === before[i]) record.fail(row, error);
      });
    }
  }
  if (failures < GIVE_UP) return;
  for (const row of rows) record.note(row, `Given up after ${GIVE_UP} failures in a row`);
}

/** Waits until the pool is full, where there is one that can be asked. Undefined when there is not. */
export async function fullPool(
  { gauge, signal, poolSize }: PhaseContext,
): Promise<PoolState | undefined> {
  const state = await gauge?.pool();
  if (gauge === undefined || state === undefined) return undefined;
  return await untilReady(gauge, { signal, least: poolSize ?? 1 });
}

/** Creates a sandbox when the pool is full. */
export async function warmBox(context: PhaseContext): Promise<Timed<Box>> {
  await fullPool(context);
  return await context.api.create();
}

/** Notes how many creates since `before` found no warm machine: the row is not what its name says then. */
export async function noteMisses(
  { gauge, record }: PhaseContext,
  before: PoolState | undefined,
  rows: readonly string[],
): Promise<void> {
  const after = await gauge?.pool();
  const note = (text: string): void => rows.forEach((row) => record.note(row, text));
  if (after === undefined || before === undefined) {
    note(gauge === undefined ? "The pool cannot be asked" : "The agent keeps no warm pool");
  } else if (after.misses > before.misses) {
    note(`${after.misses - before.misses} creates found no warm machine`);
  }
}

/** A command that does nothing. */
export const TRUE: Argv = ["true"];
/** A command whose output is known. */
export const ECHO: Argv = ["echo", "hello"];
/** What {@linkcode ECHO} prints. */
export const ECHO_OUTPUT = "hello\n";
/** The command that the peers run as well. */
export const PYTHON: Argv = ["python3", "-c", "print(1+1)"];
/** What {@linkcode PYTHON} prints. */
export const PYTHON_OUTPUT = "2\n";
