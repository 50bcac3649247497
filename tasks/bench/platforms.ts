/** The platforms that are measured: one given by its address, or the bench's own, started for what a phase needs. */
import { join } from "node:path";
import { readState } from "../dev/state_file.ts";
import { repoRoot } from "../lib/shell.ts";
import { startTestPlatform } from "../lib/test_platform.ts";
import { readAgentAccess } from "../lib/agent_access.ts";
import { type AgentFigures, AgentLink } from "./agent_link.ts";
import type { LocalHost } from "./phases/mod.ts";
import { Processes } from "./processes.ts";
import type { SandboxShape } from "./sandbox_api.ts";

/** A platform that answers. Disposing of it ends what the bench has started. */
export interface BenchPlatform extends AsyncDisposable {
  readonly url: string;
  readonly key: string;
  /** Undefined when the agent cannot be asked: it runs elsewhere, or its secret is not readable. */
  readonly agent: AgentFigures | undefined;
  /** Undefined when its processes run elsewhere. */
  readonly host: LocalHost | undefined;
  /** Warm machines that it keeps; undefined when somebody else has set it. */
  readonly poolSize: number | undefined;
}

/** What a platform of the bench's own is. */
export interface OwnPlatform {
  /** Warm machines of the measured size. */
  readonly pool: number;
  readonly shape: SandboxShape;
  /** Checkout that is started. */
  readonly root?: string;
  /** Network slots; two platforms at once take different ones. */
  readonly slots: string;
  readonly say: (line: string) => void;
}

/** Slots of the platform that is measured. */
export const SLOTS = "51001-51999";
/** Slots of the platform that it is compared with. */
export const OTHER_SLOTS = "52001-52999";

/** What a platform of the bench is told beside its addresses. */
export function platformEnv(pool: number, { template }: SandboxShape): Record<string, string> {
  return {
    // The same least and most: neither demand nor its absence changes what is ready.
    WRENN_POOL_MIN: String(pool),
    WRENN_POOL_MAX: String(pool),
    WRENN_POOL_TEMPLATES: template,
    // A restore without a pool finds nothing ready at all.
    ...(pool === 0 ? { WRENN_SPARES: "0" } : {}),
    // A hundred sandboxes at once are promised more memory than they take.
    WRENN_MEMORY_OVERCOMMIT_PERCENT: "1000",
    // Paused is measured as paused, however long the run takes.
    WRENN_PAUSED_SEC: "0",
    // A database of its own, also where this shell names one.
    DATABASE_URL: "",
  };
}

/** Starts a platform on folders of its own. */
export async function startOwn(
  { pool, shape, root, slots, say }: OwnPlatform,
): Promise<BenchPlatform> {
  say(`Starting a platform with ${pool} warm machines${root === undefined ? "" : ` of ${root}`}`);
  const started = await startTestPlatform(say, slots, {
    env: platformEnv(pool, shape),
    ...(root === undefined ? {} : { root }),
  });
  const { env } = started;
  try {
    const local = await localParts(
      Number(env["WRENN_E2E_AGENT_PID"]),
      env["WRENN_E2E_RUN_DIR"] ?? "",
      shape,
    );
    return {
      url: env["WRENN_API_URL"] ?? "",
      key: env["WRENN_API_KEY"] ?? "",
      ...local,
      poolSize: pool,
      [Symbol.asyncDispose]: async () => {
        local.agent?.[Symbol.dispose]();
        await started[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await started[Symbol.asyncDispose]();
    throw error;
  }
}

/** A platform that runs already. When it is this checkout's `dev`, its agent is asked as well. */
export async function givenPlatform(
  url: string,
  key: string,
  shape: SandboxShape,
): Promise<BenchPlatform> {
  const state = await readState(join(repoRoot(), ".dev", "state.json"));
  const local = state?.url === url
    ? await localParts(state.agent, state.run, shape)
    : { agent: undefined, host: undefined };
  return {
    url,
    key,
    ...local,
    poolSize: undefined,
    [Symbol.asyncDispose]: () => {
      local.agent?.[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

async function localParts(
  agentPid: number,
  runDir: string,
  shape: SandboxShape,
): Promise<{ agent: AgentLink | undefined; host: LocalHost | undefined }> {
  const access = await readAgentAccess(agentPid);
  return {
    agent: access && new AgentLink(access, shape),
    host: { agentPid, runDir, processes: new Processes() },
  };
}
