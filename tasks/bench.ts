/**
 * `deno task bench`: measures the platform beside the peers found on this machine, prints a table, and writes JSON
 * with `--json FILE`. Measures the platform of `.dev/env`, or starts one for the time being.
 */
import { join } from "node:path";
import { findAccelerator, readConditions } from "./bench/conditions.ts";
import { type BenchOptions, parseBenchOptions, USAGE } from "./bench/options.ts";
import { runPeers } from "./bench/peers.ts";
import { formatTable } from "./bench/table.ts";
import { runWorkload, SIZE } from "./bench/workload.ts";
import { readEnvFile } from "./dev/env_file.ts";
import { fail, repoRoot, say } from "./lib/shell.ts";
import { startTestPlatform } from "./lib/test_platform.ts";

/** Slots of a platform of this run's own. */
const SLOTS = "51001-51999";

const options = parseOptions();
await using platform = await findPlatform(options);
const start = performance.now();
const { template, creates } = options;
const conditions = await readConditions(template, "unknown");
let accel = "unknown";
const own = await runWorkload({
  create: { apiUrl: platform.url, apiKey: platform.key, template, ...SIZE },
  creates,
  say,
  onSandbox: async (id) => {
    accel = await findAccelerator(id);
  },
});
const rows = [...own, ...await runPeers(say)];
const result = { conditions: { ...conditions, accel }, rows };
if (options.json) await Deno.writeTextFile(options.json, JSON.stringify(result, null, 2) + "\n");
say(`\n${formatTable(rows)}\n`);
for (const [name, value] of Object.entries(result.conditions)) say(`${name}: ${value}`);
say(`${((performance.now() - start) / 1000).toFixed(0)} s`);

function parseOptions(): BenchOptions {
  try {
    return parseBenchOptions(Deno.args);
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
}

/** The platform asked for, the one of `.dev/env` when it answers, or one of this run's own. */
async function findPlatform(
  { url, key }: BenchOptions,
): Promise<{ url: string; key: string } & AsyncDisposable> {
  const leave = { [Symbol.asyncDispose]: () => Promise.resolve() };
  if (url !== undefined && key !== undefined) return { url, key, ...leave };
  const env = await readEnvFile(join(repoRoot(), ".dev", "env"));
  const found = { url: env["WRENN_API_URL"] ?? "", key: env["WRENN_API_KEY"] ?? "" };
  if (found.url !== "" && await answers(found.url)) return { ...found, ...leave };
  say("No platform runs: starting one");
  const started = await startTestPlatform(say, SLOTS);
  return {
    url: started.env["WRENN_API_URL"] ?? "",
    key: started.env["WRENN_API_KEY"] ?? "",
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(3000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // a file of a platform that has ended
  }
}
