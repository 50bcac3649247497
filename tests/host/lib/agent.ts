/** A host agent of a test: its folders, its process, a client of its service. */
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import {
  CleanupStack,
  denoTransport,
  newExecutionId,
  newSandboxId,
  runCommand,
} from "@wrenn/common";
import { AgentService, type Sandbox } from "@wrenn/proto/agent";
import { SLOWNESS } from "../../../agent/testing/slowness.ts";
import { provideImages } from "../../../agent/testing/test_images.ts";
import { goldenEnv } from "../../../tasks/lib/golden_dir.ts";
import { processesNaming } from "./leftovers.ts";
import { startProcess, type TestProcess, untilOffers } from "./process.ts";

/** How to set up an agent. */
export interface AgentSetup {
  /** Templates that its sandboxes use. */
  readonly templates: readonly string[];
  /** Its slots, `first-last`. */
  readonly slots: string;
  /** Network namespace that it takes for its host. */
  readonly namespace?: string;
  /** Its data lies on a file system of this size of its own, MiB. */
  readonly diskMb?: number;
  /** More of its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a command in a guest answered. */
export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** An agent with folders of its own. It can be killed and started again. Disposing ends it and removes all. */
export class TestAgent implements AsyncDisposable {
  /** Secret of its callers. */
  readonly secret: string = crypto.getRandomValues(new Uint8Array(16)).toHex();
  /** Everything of this agent lies in it. */
  readonly root: string;
  readonly #setup: AgentSetup;
  readonly #undo: CleanupStack;
  #process: TestProcess | undefined;
  #http: Deno.HttpClient | undefined;
  #client: Client<typeof AgentService> | undefined;

  private constructor(root: string, setup: AgentSetup, undo: CleanupStack) {
    this.root = root;
    this.#setup = setup;
    this.#undo = undo;
  }

  /** Makes folders and images and starts the agent. */
  static async open(setup: AgentSetup): Promise<TestAgent> {
    const undo = new CleanupStack();
    try {
      const root = await Deno.makeTempDir({ prefix: "wrenn-host-" });
      undo.add(() => Deno.remove(root, { recursive: true }), "test folder");
      const agent = new TestAgent(root, setup, undo);
      await Deno.mkdir(agent.dataDir);
      if (setup.diskMb !== undefined) {
        const image = join(root, "data.ext4");
        await Deno.writeFile(image, new Uint8Array());
        await Deno.truncate(image, setup.diskMb * 1024 ** 2);
        // No blocks for root alone, no inode tables that are written later.
        const lazy = "lazy_itable_init=0,lazy_journal_init=0";
        await runCommand(["mkfs.ext4", "-q", "-m", "0", "-E", lazy, image]);
        await runCommand(["mount", "-o", "loop", image, agent.dataDir]);
        undo.add(async () => void await runCommand(["umount", agent.dataDir]), "mount");
      }
      await provideImages(agent.dataDir, setup.templates);
      undo.add(() => agent.#sweep(), "agent");
      await agent.start();
      return agent;
    } catch (error) {
      await undo.run();
      throw error;
    }
  }

  /** `WRENN_DATA_DIR`. */
  get dataDir(): string {
    return join(this.root, "data");
  }

  /** `WRENN_RUN_DIR`. */
  get runDir(): string {
    return join(this.root, "run");
  }

  /** Unix socket of its service. */
  get socket(): string {
    return join(this.root, "agent.sock");
  }

  /** Its slots, both ends included. */
  get slots(): { first: number; last: number } {
    const [first = 0, last = 0] = this.#setup.slots.split("-").map(Number);
    return { first, last };
  }

  /** Its process. */
  get process(): TestProcess {
    if (!this.#process) throw new Error("The agent was not started");
    return this.#process;
  }

  /** A client of its service. */
  get client(): Client<typeof AgentService> {
    if (!this.#client) throw new Error("The agent was not started");
    return this.#client;
  }

  /** Starts the process, with the configuration it always has and `env`, and waits until it serves. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#http?.close();
    const { namespace } = this.#setup;
    const process = startProcess({
      name: "agent",
      program: "agent/main.ts",
      env: {
        WRENN_DATA_DIR: this.dataDir,
        WRENN_RUN_DIR: this.runDir,
        WRENN_AGENT_LISTEN: `unix:${this.socket}`,
        WRENN_AGENT_SECRET: this.secret,
        WRENN_SLOTS: this.#setup.slots,
        WRENN_GUEST_TIMEOUT_SEC: "120",
        // Tests that are not about the pool have the processors to themselves.
        WRENN_POOL_MIN: "0",
        WRENN_POOL_MAX: "0",
        WRENN_READY_SLOTS: "0",
        WRENN_SPARES: "0",
        ...await goldenEnv(this.dataDir),
        ...this.#setup.env,
        ...env,
      },
      logs: this.root,
      ...(namespace ? { namespace } : {}),
    });
    this.#process = process;
    this.#http = Deno.createHttpClient({
      http2: false,
      proxy: { transport: "unix", path: this.socket },
    });
    const transport = denoTransport({
      baseUrl: "http://localhost",
      client: this.#http,
      interceptors: [(next) => (request) => {
        request.header.set("authorization", `Bearer ${this.secret}`);
        return next(request);
      }],
    });
    const client = this.#client = createClient(AgentService, transport);
    await untilOffers(
      process,
      "its service",
      () => client.getHostInfo({}, { timeoutMs: 5000 }).then(() => true, () => false),
    );
  }

  /** Ends the process by a signal and waits for its end. */
  async end(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    return await this.process.end(signal);
  }

  /** Creates a sandbox of the first template. */
  async create(options: { template?: string; internet?: boolean } = {}): Promise<Sandbox> {
    const { template = this.#setup.templates[0] ?? "minimal", internet = true } = options;
    try {
      const { sandbox } = await this.client.createSandbox({
        id: newSandboxId(),
        executionId: newExecutionId(),
        spec: {
          template,
          vcpus: 1,
          memoryMb: template === "minimal" ? 256 : 512,
          network: { internet },
        },
      });
      if (!sandbox) throw new Error("Create answered without a sandbox");
      return sandbox;
    } catch (cause) {
      throw new Error(`Cannot create a sandbox; the log:\n${await this.process.log()}`, { cause });
    }
  }

  /** Ends a sandbox. */
  async destroy(id: string): Promise<void> {
    await this.client.destroySandbox({ id });
  }

  /** Runs a shell script in a guest; `user` is root unless given. */
  async sh(id: string, script: string, user: string = "root"): Promise<Ran> {
    const command = { cmd: "/bin/sh", args: ["-c", script], user, timeoutSec: 120 * SLOWNESS };
    const { stdout, stderr, exitCode } = await this.client.exec({ id, command });
    const text = new TextDecoder();
    return { stdout: text.decode(stdout), stderr: text.decode(stderr), exitCode };
  }

  /** Ends the process and removes every file. What a failed test left on the host is swept by a new start. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.run();
  }

  async #sweep(): Promise<void> {
    try {
      if (this.#process?.hasEnded) await this.start();
      const { code } = await this.end("SIGTERM");
      if (code !== 0) throw new Error(`The agent ended with ${code}:\n${await this.process.log()}`);
    } finally {
      await this.#process?.[Symbol.asyncDispose]();
      this.#http?.close();
      // An agent that failed to sweep must not leave a machine that runs for ever.
      for (const pid of await processesNaming(this.runDir)) Deno.kill(pid, "SIGKILL");
    }
  }
}
