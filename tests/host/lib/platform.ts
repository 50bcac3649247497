/** A platform of a test: database, host agent and control plane, each of which can be killed. */
import { bootstrapKey, openDatabase } from "@wrenn/api";
import { CleanupStack } from "@wrenn/common";
import { freshDatabase, startTestServer } from "../../../tasks/postgres/testing.ts";
import { type AgentSetup, TestAgent } from "./agent.ts";
import { startProcess, type TestProcess, untilOffers } from "./process.ts";

/** A sandbox as the control plane shows it. */
export interface Shown {
  readonly id: string;
  readonly status: string;
  readonly error?: { readonly code: string; readonly message: string };
}

/** The answer of a call that puts a sandbox to rest or wakes it. */
export interface Acted extends Shown {
  readonly receipt?: { readonly generation: number; readonly digest: string | null };
  readonly restored?: { readonly from: string; readonly reason: string | null };
}

/** An answer of the control plane. */
export interface Answer {
  readonly status: number;
  readonly json: unknown;
}

/** A platform. Disposing ends its parts and removes their files. */
export class TestPlatform implements AsyncDisposable {
  /** The host agent. */
  readonly agent: TestAgent;
  readonly #undo: CleanupStack;
  readonly #databaseUrl: string;
  readonly #key: string;
  readonly #port: number;
  #api: TestProcess | undefined;

  private constructor(agent: TestAgent, databaseUrl: string, key: string, undo: CleanupStack) {
    this.agent = agent;
    this.#databaseUrl = databaseUrl;
    this.#key = key;
    this.#port = freePort();
    this.#undo = undo;
  }

  /** Starts everything and waits until it is ready. */
  static async open(setup: AgentSetup): Promise<TestPlatform> {
    const undo = new CleanupStack();
    try {
      const server = await startTestServer();
      undo.add(() => server.stop(), "database server");
      const database = await freshDatabase(server);
      undo.add(() => database.drop(), "database");
      const key = await makeKey(database.url);
      const agent = await TestAgent.open(setup);
      undo.add(() => agent[Symbol.asyncDispose](), "agent");
      const platform = new TestPlatform(agent, database.url, key, undo);
      undo.add(async () => await platform.#api?.[Symbol.asyncDispose](), "control plane");
      await platform.startApi();
      return platform;
    } catch (error) {
      await undo.run();
      throw error;
    }
  }

  /** The control plane's process. */
  get api(): TestProcess {
    if (!this.#api) throw new Error("The control plane was not started");
    return this.#api;
  }

  /** Starts the control plane, with the configuration it always has, and waits until it is ready. */
  async startApi(): Promise<void> {
    this.#api = startProcess({
      name: "api",
      program: "api/main.ts",
      env: {
        DATABASE_URL: this.#databaseUrl,
        CP_LISTEN_ADDR: `127.0.0.1:${this.#port}`,
        CP_HOST_AGENT_ADDR: `unix:${this.agent.socket}`,
        WRENN_AGENT_SECRET: this.agent.secret,
      },
      logs: this.agent.root,
    });
    const ready = (): Promise<boolean> =>
      this.call("GET", "/ready").then(({ status }) => status === 200, () => false);
    await untilOffers(this.#api, "readiness", ready);
  }

  /** Calls the control plane. Rejects when it goes away before it has answered. */
  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      headers: { "x-api-key": this.#key, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === "" ? undefined : JSON.parse(text) };
  }

  /** Creates a sandbox and gives its id. */
  async create(): Promise<string> {
    const answer = await this.call("POST", "/v1/sandboxes", MINIMAL);
    if (answer.status === 201) return (answer.json as Shown).id;
    const logs = `${await this.agent.process.log()}${await this.api.log()}`;
    throw new Error(`Create answered ${answer.status}; the logs:\n${logs}`);
  }

  /** Reads a sandbox. */
  async get(id: string): Promise<Shown> {
    return (await this.call("GET", `/v1/sandboxes/${id}`)).json as Shown;
  }

  /** Every sandbox in the database, those that have ended too. */
  async list(): Promise<Shown[]> {
    const states = "pending,starting,running,paused,hibernated,stopped,error";
    const { json } = await this.call("GET", `/v1/sandboxes?status=${states}`);
    return (json as { sandboxes: Shown[] }).sandboxes;
  }

  /** Pauses, hibernates or resumes a sandbox. */
  async act(id: string, action: "pause" | "hibernate" | "resume"): Promise<Acted> {
    const { status, json } = await this.call("POST", `/v1/sandboxes/${id}/${action}`);
    if (status === 200) return json as Acted;
    throw new Error(`${action} answered ${status}: ${JSON.stringify(json)}`);
  }

  /** Destroys a sandbox; the status of the answer. */
  async destroy(id: string): Promise<number> {
    return (await this.call("DELETE", `/v1/sandboxes/${id}`)).status;
  }

  /** What a shell script in a sandbox prints, or the error's code. */
  async sh(id: string, script: string): Promise<string> {
    const command = { cmd: "/bin/sh", args: ["-c", script] };
    const { status, json } = await this.call("POST", `/v1/sandboxes/${id}/exec`, command);
    if (status === 200) return (json as { stdout: string }).stdout;
    return (json as { error: { code: string } }).error.code;
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.run();
  }
}

/** A create request. */
export const MINIMAL = { template: "minimal", memory_mb: 256, timeout_sec: 0 };

async function makeKey(databaseUrl: string): Promise<string> {
  await using database = openDatabase(databaseUrl);
  return await bootstrapKey(database);
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
