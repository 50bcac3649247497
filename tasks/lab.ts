/**
 * `deno task lab`: a host with a real KVM and device-mapper inside QEMU, and something run on it.
 *
 * ```
 * lab build                          what is not built yet
 * lab run [--out DIR] COMMAND...     a command, in the project's folder
 * lab test [--out DIR] FILE...       test files
 * ```
 *
 * Tests whose lab stands still altogether, which emulation of a host with KVM does now and then, run once more in a new
 * one. The output streams to this terminal and the exit code is the command's. What it leaves in `/out` comes to DIR.
 */
import { ensureHostTools } from "./lib/host_tools.ts";
import { fail, say } from "./lib/shell.ts";
import { buildLab, runInLab } from "./lab/lab.ts";
import { testOrder } from "./lab/core/lab_order.ts";
import { LabStoppedError } from "./lab/watch.ts";

const USAGE = "Usage: deno task lab build | run [--out DIR] COMMAND... | test [--out DIR] FILE...";

const [verb, ...words] = Deno.args;
const out = words[0] === "--out" ? words.splice(0, 2)[1] : undefined;
if ((verb !== "build" && verb !== "run" && verb !== "test") || (verb !== "build" && !words[0])) {
  fail(USAGE);
}
await ensureHostTools();
const stop = new AbortController();
Deno.addSignalListener("SIGINT", () => stop.abort(new Error("Interrupted")));
try {
  const lab = await buildLab(say, stop.signal);
  if (verb !== "build") {
    const order = verb === "test" ? testOrder(words) : { argv: words };
    const run = { signal: stop.signal, ...(out === undefined ? {} : { out }) };
    const code = await runInLab(lab, order, run).catch((error) => {
      if (verb !== "test" || !(error instanceof LabStoppedError)) throw error;
      // The emulator's fault, not the tests': nothing of them was judged.
      say(`${error.message}\nlab: once more, in a new one`);
      return runInLab(lab, order, run);
    });
    Deno.exit(code);
  }
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
