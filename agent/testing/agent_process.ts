/** A real agent as a child process, on a data folder of its own, and what it leaves on the host. */
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { AgentService } from "@wrenn/proto/agent";
import { delay, denoTransport, runCommand } from "@wrenn/common";
import { provideImages } from "./test_images.ts";
import { goldenEnv } from "../../tasks/lib/golden_dir.ts";

/** Slots of these tests. */
export const TEST_SLOTS = { first: 61000, last: 61099 } as const;
const SECRET = "secret-of-the-integration-test";
const READY_LIMIT_MS = 60_000;

/** Data, run folder and images for agents that follow one another. */
export class AgentHome implements AsyncDisposable {
  readonly folder: string;
  readonly dataDir: string;
  readonly runDir: string;
  readonly socket: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.dataDir = join(folder, "data");
    this.runDir = join(folder, "run");
    this.socket = join(folder, "agent.sock");
  }

  /** Builds what the templates need, or takes it from the cache. */
  static async make(templates: readonly string[]): Promise<AgentHome> {
    const home = new AgentHome(await Deno.makeTempDir({ prefix: "agent-home-" }));
    await Deno.mkdir(home.dataDir);
    await provideImages(home.dataDir, templates);
    return home;
  }

  /** Starts an agent and waits until it serves. */
  async start(env: Record<string, string> = {}): Promise<AgentProcess> {
    const log = await Deno.open(join(this.folder, "agent.log"), { create: true, append: true });
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", new URL("../main.ts", import.meta.url).pathname],
      env: {
        WRENN_DATA_DIR: this.dataDir,
        WRENN_RUN_DIR: this.runDir,
        WRENN_AGENT_LISTEN: `unix:${this.socket}`,
        WRENN_AGENT_SECRET: SECRET,
        WRENN_SLOTS: `${TEST_SLOTS.first}-${TEST_SLOTS.last}`,
        WRENN_GUEST_TIMEOUT_SEC: "180",
        WRENN_LOG_LEVEL: "debug",
        WRENN_POOL_MIN: "0",
        WRENN_SPARES: "0",
        WRENN_POOL_MAX: "0",
        WRENN_READY_SLOTS: "0",
        ...await goldenEnv(this.dataDir),
        ...env,
      },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const logged = child.stderr.pipeTo(log.writable);
    const agent = new AgentProcess(child, this.socket, logged);
    await agent.untilReady(READY_LIMIT_MS);
    return agent;
  }

  /** The agents' log so far. */
  async log(): Promise<string> {
    return await Deno.readTextFile(join(this.folder, "agent.log"));
  }

  /** Everything of these agents that is on the host: processes, namespaces, links, tables, files. */
  async left(): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const cmdline = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
      if (cmdline.includes(this.runDir)) found.push(`process ${name}`);
    }
    const inRange = (text: string): boolean => {
      const index = Number(/^(?:ns|veth)-(\d+)/.exec(text)?.[1]);
      return index >= TEST_SLOTS.first && index <= TEST_SLOTS.last;
    };
    const output = async (argv: [string, ...string[]]): Promise<string[]> =>
      (await runCommand(argv)).stdout.split("\n");
    for (const line of await output(["ip", "netns", "list"])) {
      if (inRange(line)) found.push(`namespace ${line}`);
    }
    for (const line of await output(["ip", "-o", "link"])) {
      const link = line.split(": ")[1] ?? "";
      if (inRange(link)) found.push(`link ${link}`);
    }
    for (const line of await output(["nft", "list", "tables"])) {
      if (line.includes(String(TEST_SLOTS.first))) found.push(line);
    }
    for (const folder of [this.runDir, join(this.dataDir, "sandboxes")]) {
      for (const name of await names(folder)) found.push(`file ${folder}/${name}`);
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** One agent. */
export class AgentProcess implements AsyncDisposable {
  readonly client: Client<typeof AgentService>;
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #http: Deno.HttpClient;
  readonly #logged: Promise<void>;
  #over = false;

  /** @param logged Settles when the log is written. */
  constructor(child: Deno.ChildProcess, socket: string, logged: Promise<void>) {
    this.#child = child;
    this.#logged = logged;
    this.ended = child.status.then((status) => {
      this.#over = true;
      return status;
    });
    this.#http = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
    this.client = createClient(
      AgentService,
      denoTransport({
        baseUrl: "http://localhost",
        client: this.#http,
        interceptors: [(next) => (request) => {
          request.header.set("authorization", `Bearer ${SECRET}`);
          return next(request);
        }],
      }),
    );
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Waits for the first answer. */
  async untilReady(limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (performance.now() < deadline && !this.#over) {
      const answer = await this.client.getHostInfo({}).catch(() => undefined);
      if (answer) return;
      await delay(50);
    }
    await this.stop("SIGKILL");
    throw new Error("Agent does not get ready");
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    if (!this.#over) this.#child.kill(signal);
    const status = await this.ended;
    await this.#logged;
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGTERM");
    this.#http.close();
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(folder), (entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
