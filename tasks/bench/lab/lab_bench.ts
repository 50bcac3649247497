/** `deno task bench --lab`: both accelerators in one lab. */
import { join } from "node:path";
import { buildLab, runInLab } from "../../lab/lab.ts";
import { type LabResult, parseLabResult } from "./lab_result.ts";

/**
 * Builds the lab and measures in it.
 *
 * @throws {Error} When the lab or something in it fails; what it printed tells why.
 */
export async function runLabBench(
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<LabResult> {
  const lab = await buildLab(say, signal);
  const out = await Deno.makeTempDir({ prefix: "bench-lab-" });
  try {
    const order = {
      argv: ["deno", "run", "-A", "--cached-only", "tasks/bench/lab/inside.ts"],
      env: { WRENN_TEST_DATA_DIR: "/var/lib/wrenn", WRENN_TEST_SLOWNESS: "10" },
    };
    const code = await runInLab(lab, order, { out, signal });
    if (code !== 0) throw new Error(`The bench in the lab ended with ${code}`);
    return parseLabResult(await Deno.readTextFile(join(out, "lab.json")));
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}
