/**
 * `deno task dev`: installs what is missing, builds, starts the platform, runs a first sandbox and serves until
 * Ctrl-C, which leaves nothing behind.
 */
import { relative } from "node:path";
import { defaultCacheDir, ensureImages } from "./images/mod.ts";
import { readEnvFile, writeEnvFile } from "./dev/env_file.ts";
import { runFirstSandbox } from "./dev/first_sandbox.ts";
import { devFolders } from "./dev/folders.ts";
import { type DevOptions, parseDevOptions, UsageError } from "./dev/options.ts";
import { startPlatform } from "./dev/platform.ts";
import { endLeftovers, isOurs, readState, writeState } from "./dev/state_file.ts";
import { ensureHostTools } from "./lib/host_tools.ts";
import { fail, repoRoot, say } from "./lib/shell.ts";

const TEMPLATES = ["minimal", "base"];

const started = performance.now();
const stopped = stopSignal();
try {
  await main(options());
} catch (error) {
  fail(`Cannot start: ${error instanceof Error ? error.message : String(error)}`);
}
Deno.exit(0);

async function main(dev: DevOptions): Promise<void> {
  await ensureHostTools();
  const folders = await devFolders(dev.dataDir);
  const earlier = await readState(folders.state);
  if (earlier && await isOurs(earlier.dev, "dev") && earlier.dev !== Deno.pid) {
    fail(`Already running at ${earlier.url} (process ${earlier.dev})`);
  }
  if (earlier) {
    const ended = await endLeftovers(earlier);
    if (ended.length > 0) say(`Ended what an earlier start left: ${ended.join(", ")}`);
    await Deno.remove(folders.state);
  }
  await Deno.mkdir(folders.host, { recursive: true, mode: 0o700 });
  await step(
    "Kernel and images",
    (progress) =>
      ensureImages({
        dataDir: folders.host,
        cacheDir: defaultCacheDir(),
        names: TEMPLATES,
        progress,
      }),
  );

  const key = (await readEnvFile(folders.env)).WRENN_API_KEY;
  await using platform = await step(
    "Database, host agent, control plane",
    () => startPlatform(dev, folders, key),
  );
  await writeEnvFile(folders.env, platform);
  const first = await step("First sandbox", () => runFirstSandbox(platform.url, platform.key));
  await writeState(folders.state, {
    dev: Deno.pid,
    agent: platform.agent.pid,
    api: platform.api.pid,
    url: platform.url,
    run: folders.run,
    host: folders.host,
  });
  try {
    const env = relative(Deno.cwd(), folders.env);
    say(`
  ${first.output}
  created in ${first.createMs} ms, answered in ${first.execMs} ms

Wrenn is ready (${seconds(started)})
  URL   ${platform.url}        API reference: ${platform.url}/docs
  Key   ${platform.key}
  Env   ${env.startsWith("..") ? folders.env : env}
  Logs  ${folders.logs}

Try: curl -s -X POST ${platform.url}/v1/sandboxes -H "X-API-Key: ${platform.key}" -H "content-type: application/json" -d '{"template":"base"}'
Ctrl-C ends everything.`);
    if (dev.once) return;
    const reason = await Promise.race([stopped, platform.broken]);
    if (reason !== undefined) throw new Error(reason);
    say("Stopping");
  } finally {
    await Deno.remove(folders.state);
  }
}

function options(): DevOptions {
  try {
    return parseDevOptions(Deno.args, repoRoot());
  } catch (error) {
    if (error instanceof UsageError) fail(error.message);
    throw error;
  }
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(): Promise<undefined> {
  return new Promise((resolve) => {
    let seen = false;
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(name, () => {
        if (seen) Deno.exit(130);
        seen = true;
        resolve(undefined);
      });
    }
  });
}

async function step<T>(
  name: string,
  work: (progress: (line: string) => void) => Promise<T>,
): Promise<T> {
  const start = performance.now();
  say(`${name} ...`);
  const result = await work((line) => say(`  ${line}`));
  say(`  done in ${seconds(start)}`);
  return result;
}

function seconds(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}
