/**
 * Every test, by layers: `deno task test [--full] [check] [unit] [integration] [lab] [e2e]`, all by default. Ends with
 * the leak check and a line `N passed, N failed`. `--full` also runs in the lab what takes long there.
 */
import { join, relative } from "node:path";
import { labSuite } from "./lab/core/lab_suite.ts";
import { ensureHostTools } from "./lib/host_tools.ts";
import { countJunit, failedFiles } from "./lib/junit.ts";
import { hostState, leaked } from "./lib/leaks.ts";
import { walkFiles } from "./lib/walk.ts";
import { startTestPlatform } from "./lib/test_platform.ts";
import { fail, repoRoot, say } from "./lib/shell.ts";

const LAYERS = ["check", "unit", "integration", "lab", "e2e"] as const;
type Layer = typeof LAYERS[number];
/** A layer that takes longer than this hangs; the output names the test that has been running since. */
const LAYER_LIMIT_MS: Record<Layer, number> = {
  check: 10 * 60_000,
  unit: 15 * 60_000,
  integration: 65 * 60_000,
  lab: 30 * 60_000,
  e2e: 20 * 60_000,
};

const full = Deno.args.includes("--full");
const words = Deno.args.filter((a) => a !== "--full");
const asked = words.filter((a): a is Layer => LAYERS.includes(a as Layer));
if (asked.length !== words.length) fail(`Usage: deno task test [--full] [${LAYERS.join("] [")}]`);
const layers: readonly Layer[] = asked.length > 0 ? asked : LAYERS;
const needsHost = layers.some((layer) => ["integration", "lab", "e2e"].includes(layer));

const root = repoRoot();
const reports = await Deno.makeTempDir({ prefix: "test-reports-" });
const total = { passed: 0, failed: 0, ignored: 0 };
const failures: string[] = [];

if (needsHost) await ensureHostTools();
const before = needsHost ? await hostState() : undefined;
try {
  for (const layer of layers) await timed(layer, () => runLayer(layer));
  if (before) await timed("leak check", async () => judge("leak check", await noLeak(before)));
} finally {
  await Deno.remove(reports, { recursive: true });
}
if (failures.length > 0) say(`Failed: ${failures.join(", ")}`);
say(`${total.passed} passed, ${total.failed} failed`);
Deno.exit(total.failed === 0 && failures.length === 0 ? 0 : 1);

async function runLayer(layer: Layer): Promise<void> {
  switch (layer) {
    case "check":
      return judge("check", await deno("check", ["run", "-A", "tasks/check.ts"]));
    case "unit":
      return await runTests("unit", await testFiles(false), { args: ["--parallel"] });
    case "integration":
      return await runTests("integration", await testFiles(true), {});
    case "lab":
      return await runLab();
    case "e2e": {
      await using platform = await startTestPlatform(say);
      return await runTests("e2e", ["tests/e2e"], { env: platform.env });
    }
  }
}

/**
 * Runs the lab's tests. Files with a failure run once more, in a new lab, and that result counts: a guest there is a
 * virtual machine in an emulated one, whose emulator keeps stale code now and then. What failed at first stays in the
 * output.
 */
async function runLab(): Promise<void> {
  let files = labSuite({ full });
  for (let last = false;; last = true) {
    const out = join(reports, last ? "lab-again" : "lab");
    const report = join(out, "report.xml");
    const ok = await deno("lab", ["run", "-A", "tasks/lab.ts", "test", "--out", out, ...files]);
    const xml = await Deno.readTextFile(report).catch(() => "");
    const failed = failedFiles(xml);
    if (ok || last || failed.length === 0) return await count("lab", ok, report);
    total.passed += countJunit(xml).passed;
    say(`Once more in a new lab: ${failed.join(", ")}`);
    files = failed;
  }
}

/** Runs test files in one `deno test` and adds its counts. */
async function runTests(
  name: Layer,
  files: readonly string[],
  { args = [], env = {} }: { args?: readonly string[]; env?: Record<string, string> },
): Promise<void> {
  const report = join(reports, `${name}.xml`);
  const ok = await deno(name, ["test", "-A", `--junit-path=${report}`, ...args, ...files], env);
  await count(name, ok, report);
}

/** Adds what a run's report says. */
async function count(name: Layer, ok: boolean, report: string): Promise<void> {
  const counts = countJunit(await Deno.readTextFile(report).catch(() => ""));
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.ignored += counts.ignored;
  // A run that fails without a failed test broke before or after its tests.
  if (!ok && counts.failed === 0) total.failed++;
  if (ok && counts.passed === 0) {
    total.failed++;
    failures.push(`${name}: no test ran`);
  }
  if (!ok) failures.push(name);
}

function judge(name: string, ok: boolean): void {
  if (ok) total.passed++;
  else {
    total.failed++;
    failures.push(name);
  }
}

async function deno(
  layer: Layer,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<boolean> {
  const limitMs = LAYER_LIMIT_MS[layer];
  const limit = AbortSignal.timeout(limitMs);
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    env,
    stdin: "null",
    signal: limit,
  });
  const { success } = await child.spawn().status;
  if (limit.aborted) say(`Ended after ${limitMs / 60_000} minutes: a test hangs`);
  return success;
}

/** Test files outside `tests/e2e` and `tests/lab`: those that need root and VMs, or the others. */
async function testFiles(integration: boolean): Promise<string[]> {
  const files: string[] = [];
  for await (const path of walkFiles(root)) {
    const name = relative(root, path);
    if (!name.endsWith("_test.ts") || /^(?:tests\/(?:e2e|lab)|dist)\//.test(name)) continue;
    if (name.endsWith("_integration_test.ts") === integration) files.push(name);
  }
  return files.sort();
}

async function noLeak(earlier: ReadonlySet<string>): Promise<boolean> {
  // Processes that were told to end may take a moment to be gone.
  let left: string[] = [];
  for (let attempt = 0; attempt < 20; attempt++) {
    left = leaked(earlier, await hostState());
    if (left.length === 0) return true;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  for (const thing of left) say(`Left behind: ${thing}`);
  return false;
}

async function timed(name: string, work: () => Promise<void>): Promise<void> {
  const start = performance.now();
  say(`\n== ${name}`);
  await work();
  say(`== ${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
}
