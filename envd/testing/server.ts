/** A whole envd in this process on a port of its own, for tests: real processes and files, no real clock. */
import { type Client, createClient } from "@connectrpc/connect";
import { denoTransport } from "@wrenn/common";
import { onOnePort } from "@wrenn/common/testing/on_one_port";
import { Filesystem } from "@wrenn/proto/filesystem";
import { Process } from "@wrenn/proto/process";
import { createApp } from "../app.ts";
import { ControlDatagrams } from "../control/datagrams.ts";
import { StoredAnswers } from "../control/stored_answers.ts";
import { Initializer } from "../init/init.ts";
import { GuestState } from "../init/state.ts";
import type { Machine } from "../linux/machine.ts";
import { Users } from "../linux/users.ts";
import { ProcessManager } from "../process/manager.ts";
import { startOnPty } from "../pty/pty_backend.ts";
import { Watchers } from "../watch/watchers.ts";

/** A machine that writes down what would have been done to it. */
export class FakeMachine implements Machine {
  /** Calls in order. */
  readonly calls: string[] = [];
  /** What the clock shows, nanoseconds. */
  clock = 1_800_000_000_000_000_000n;

  now(): bigint {
    return this.clock;
  }

  setClock(ns: bigint): void {
    this.clock = ns;
    this.calls.push(`clock ${ns}`);
  }

  addEntropy(bytes: Uint8Array<ArrayBuffer>): void {
    this.calls.push(`entropy ${bytes.toHex()}`);
  }

  setHostname(name: string): void {
    this.calls.push(`hostname ${name}`);
  }

  setMachineId(id: string): void {
    this.calls.push(`machine-id ${id}`);
  }

  setBootId(id: string): void {
    this.calls.push(`boot-id ${id}`);
  }

  freeze(): Promise<number> {
    this.calls.push("freeze");
    return Promise.resolve(3);
  }

  thaw(): void {
    this.calls.push("thaw");
  }

  populated(): boolean {
    return true;
  }

  foreignConnections(): number {
    this.calls.push("count connections");
    return 2;
  }

  sync(): Promise<void> {
    this.calls.push("sync");
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.calls.push("clear");
    return Promise.resolve();
  }
}

/** A running envd. */
export class TestEnvd implements AsyncDisposable {
  readonly machine: FakeMachine = new FakeMachine();
  readonly users: Users = new Users();
  readonly state: GuestState;
  readonly initializer: Initializer;
  readonly manager: ProcessManager;
  readonly watchers: Watchers = new Watchers();
  readonly answers: StoredAnswers = new StoredAnswers();
  readonly url: string;
  /** A folder of this test alone. */
  readonly dir: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #datagrams: ControlDatagrams;
  readonly #http: Deno.HttpClient = Deno.createHttpClient({});
  readonly #stop: AbortController = new AbortController();

  constructor(sealed = false) {
    this.state = new GuestState(this.users, sealed);
    this.state.defaultUser = "root";
    this.initializer = new Initializer(this.state, this.machine);
    this.manager = new ProcessManager({ state: this.state, users: this.users, startOnPty });
    const { signal } = this.#stop;
    const app = createApp(this);
    [this.#datagrams, this.#server] = onOnePort(
      (at) => new ControlDatagrams(this, at),
      (at) => Deno.serve({ ...at, signal, onListen() {} }, app),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
    this.dir = Deno.makeTempDirSync({ prefix: "envd-test-" });
    Deno.chmodSync(this.dir, 0o755);
  }

  processes(json = false): Client<typeof Process> {
    return createClient(Process, this.#transport(json));
  }

  files(json = false): Client<typeof Filesystem> {
    return createClient(Filesystem, this.#transport(json));
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
    return fetch(this.url + path, { ...init, headers, client: this.#http });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.manager[Symbol.asyncDispose]();
    this.#datagrams[Symbol.dispose]();
    const drained = this.#server.shutdown();
    const timer = setTimeout(() => this.#stop.abort(), 5000);
    await drained;
    clearTimeout(timer);
    this.#http.close();
    // Handlers of streams that were cut do not hear of it: nothing to wait for then.
    if (!this.#stop.signal.aborted) await this.watchers[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }

  #transport(json: boolean) {
    return denoTransport({ baseUrl: this.url, client: this.#http, json });
  }
}

/** Headers that name a user. */
export function asUser(name: string): { headers: Record<string, string> } {
  return { headers: { authorization: `Basic ${btoa(`${name}:`)}` } };
}

/** Waits until `probe` gives something true. */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  what: string,
): Promise<NonNullable<T>> {
  for (let i = 0; i < 500; i++) {
    const found = await probe();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Waited in vain for '${what}'`);
}
