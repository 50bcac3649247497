/** Programs of a dead agent that still run: they end by themselves, and start-up waits for that. */
import { delay } from "@wrenn/common";

const POLL_MS = 10;

/**
 * Waits until no process whose command line has `word` as its last word is left, but for children of this process.
 *
 * @param limitMs Gives up after this.
 * @returns The processes that are still there.
 */
export async function waitForOrphans(word: string, limitMs: number): Promise<number[]> {
  for (let waited = 0;; waited += POLL_MS) {
    const left = await orphans(word);
    if (left.length === 0 || waited >= limitMs) return left;
    await delay(POLL_MS);
  }
}

async function orphans(word: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    if (!(await readProcess(name, "cmdline")).endsWith(`\0${word}\0`)) continue;
    // pid (name) state parent ...
    const [, parent] = (await readProcess(name, "stat")).split(") ").at(-1)?.split(" ") ?? [];
    if (parent !== undefined && Number(parent) !== Deno.pid) found.push(Number(name));
  }
  return found;
}

/** Empty when the process has ended. */
async function readProcess(pid: string, file: string): Promise<string> {
  try {
    return await Deno.readTextFile(`/proc/${pid}/${file}`);
  } catch {
    return "";
  }
}
