/**
 * `deno task dev`: installs what is missing, builds, starts the platform, runs a first sandbox and serves until
 * Ctrl-C, which leaves nothing behind.
 */
import { relative } from "node:path";
import { defaultCacheDir, ensureImages } from "./images/mod.ts";
import { readEnvFile, writeEnvFile } from "./dev/env_file.ts";
import { runFirstSandbox } from "./dev/first_sandbox.ts";
import { type DevFolders, devFolders } from "./dev/folders.ts";
import { type DevOptions, parseDevOptions, UsageError } from "./dev/options.ts";
import { startPlatform } from "./dev/platform.ts";
import { type DevState, endLeftovers, isOurs, readState, writeState } from "./dev/state_file.ts";
import { ensureHostTools } from "./lib/host_tools.ts";
import { fail, repoRoot, say } from "./lib/shell.ts";

const TEMPLATES = ["minimal", "base"];

const started = performance.now();
const stop = stopSignal();
try {
  await main(options());
} catch (error) {
  if (stop.aborted && error === stop.reason) {
    say("Stopped");
    Deno.exit(130);
  }
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
        signal: stop,
        progress,
      }),
  );

  let state: DevState = {
    dev: Deno.pid,
    agent: 0,
    api: 0,
    ready: false,
    url: "",
    run: folders.run,
    host: folders.host,
  };
  const record = async (change: Partial<DevState>): Promise<void> => {
    state = { ...state, ...change };
    await writeState(folders.state, state);
  };
  await record({});
  try {
    await serve(dev, folders, record);
  } finally {
    // Last of all: until then a later start must find what runs.
    await Deno.remove(folders.state);
  }
}

/** Starts the platform and serves until a signal comes or a part ends. */
async function serve(
  dev: DevOptions,
  folders: DevFolders,
  record: (change: Partial<DevState>) => Promise<void>,
): Promise<void> {
  const key = (await readEnvFile(folders.env)).WRENN_API_KEY;
  await using platform = await step(
    "Database, host agent, control plane",
    () => startPlatform(dev, folders, key, (part, pid, url) => record({ [part]: pid, url })),
  );
  await writeEnvFile(folders.env, platform);
  const first = await step("First sandbox", () => runFirstSandbox(platform.url, platform.key));
  await record({ ready: true });
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
  const stopped = new Promise<undefined>((resolve) => {
    if (stop.aborted) resolve(undefined);
    else stop.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const reason = await Promise.race([stopped, platform.broken]);
  if (reason !== undefined) throw new Error(reason);
  say("Stopping");
}

function options(): DevOptions {
  try {
    return parseDevOptions(Deno.args, repoRoot());
  } catch (error) {
    if (error instanceof UsageError) fail(error.message);
    throw error;
  }
}

/**
 * Aborts at the first signal: a step under way ends, the next does not begin. The second one says that it is heard,
 * the third leaves the rest to the next start.
 */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let seen = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => {
      if (++seen === 2) say("Still stopping: once more leaves the rest to the next start");
      if (seen > 2) Deno.exit(130);
      controller.abort(new Error(`Stopped by ${name}`));
    });
  }
  return controller.signal;
}

async function step<T>(
  name: string,
  work: (progress: (line: string) => void) => Promise<T>,
): Promise<T> {
  stop.throwIfAborted();
  const start = performance.now();
  say(`${name} ...`);
  const result = await work((line) => say(`  ${line}`));
  say(`  done in ${seconds(start)}`);
  return result;
}

function seconds(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}
