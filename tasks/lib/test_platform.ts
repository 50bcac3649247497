/** A whole platform for the end-to-end tests: `deno task dev` itself, on a temporary data folder and a free port. */
import { join } from "node:path";
import { delay } from "@wrenn/common";
import { parseDotenv } from "../dev/env_file.ts";
import { readState } from "../dev/state_file.ts";
import { repoRoot } from "./shell.ts";

/** A running platform. Disposing of it ends it as Ctrl-C would and fails if it does not end. */
export interface TestPlatform extends AsyncDisposable {
  /** Variables for the tests: `WRENN_API_URL`, `WRENN_API_KEY`, `DATABASE_URL`, `WRENN_E2E_*`. */
  readonly env: Record<string, string>;
}

/** The first start may have to build images. */
const START_TIMEOUT_MS = 15 * 60_000;
const STOP_TIMEOUT_MS = 90_000;
/** Slots of the end-to-end tests: neither `dev` nor the integration tests use them. */
const SLOTS = "50001-50999";

/** What may differ from a platform of this checkout as it is shipped. */
export interface TestPlatformOptions {
  /** Variables of the parts, beside this process's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Checkout that is started instead of this one. */
  readonly root?: string;
}

/** Starts the platform and waits until it is ready. */
export async function startTestPlatform(
  say: (line: string) => void,
  slots: string = SLOTS,
  { env = {}, root = repoRoot() }: TestPlatformOptions = {},
): Promise<TestPlatform> {
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-e2e-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "tasks/dev.ts", "--port", "0", "--data-dir", dataDir, "--slots", slots],
    cwd: root,
    env: { ...env },
    stdin: "null",
    detached: true,
  }).spawn();
  let ended = false;
  const status = child.status.then((s) => {
    ended = true;
    return s;
  });
  const stop = async (): Promise<void> => {
    if (!ended) child.kill("SIGINT");
    const { code } = await deadline(status, STOP_TIMEOUT_MS, "The platform did not end on Ctrl-C");
    await keepLogs(join(dataDir, "logs"), say);
    await Deno.remove(dataDir, { recursive: true });
    if (code !== 0) throw new Error(`Platform ended with exit code ${code}`);
  };
  const state = join(dataDir, "state.json");
  for (let waited = 0;; waited += 200) {
    const found = await readState(state);
    if (found?.ready) {
      const values = parseDotenv(await Deno.readTextFile(join(dataDir, "env")));
      say(`Platform at ${found.url}`);
      return {
        env: {
          ...values,
          WRENN_E2E_AGENT_PID: String(found.agent),
          WRENN_E2E_API_PID: String(found.api),
          WRENN_E2E_RUN_DIR: found.run,
          WRENN_E2E_DATA_DIR: found.host,
        },
        [Symbol.asyncDispose]: stop,
      };
    }
    if (ended || waited > START_TIMEOUT_MS) {
      await stop().catch(() => {});
      throw new Error("Cannot start the platform: see its output above");
    }
    await delay(200);
  }
}

/** Keeps the parts' logs in the repository's `.dev` and tells how many errors they hold. */
async function keepLogs(logs: string, say: (line: string) => void): Promise<void> {
  const kept = join(repoRoot(), ".dev", "e2e-logs");
  await Deno.mkdir(kept, { recursive: true });
  for (const name of ["agent.log", "api.log"]) {
    const text = await Deno.readTextFile(join(logs, name)).catch(() => "");
    await Deno.writeTextFile(join(kept, name), text);
    const errors = text.split("\n").filter((line) => line.includes('"level":"ERROR"')).length;
    say(`${join(kept, name)}: ${errors} errors logged`);
  }
}

async function deadline<T>(work: Promise<T>, ms: number, message: string): Promise<T> {
  const abort = new AbortController();
  try {
    return await Promise.race([
      work,
      delay(ms, abort.signal).then(() => Promise.reject(new Error(message))),
    ]);
  } finally {
    abort.abort();
  }
}
